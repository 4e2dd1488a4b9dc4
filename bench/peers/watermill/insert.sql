-- What its publisher inserts; the second value is the envelope that the forwarder's publisher puts around a message.
insert into "watermill_outbox" (uuid, payload, metadata, transaction_id)
values (gen_random_uuid(), $2::text::json, json_build_object('key', $1::text), pg_current_xact_id())
