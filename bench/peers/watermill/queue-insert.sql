-- What its publisher inserts with the queue schema; the second value is the envelope that the forwarder's publisher puts around a message.
insert into "watermill_outbox" (uuid, payload, metadata)
values (gen_random_uuid(), $2::text::json, json_build_object('key', $1::text))
