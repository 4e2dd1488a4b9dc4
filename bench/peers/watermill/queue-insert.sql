-- What its publisher inserts with the queue schema; the second value is the envelope that the forwarder's publisher puts around a message.
-- The id rises with time, by the same expression as ours: a random one would make its index dear.
insert into "watermill_outbox" (uuid, payload, metadata)
values (
    encode(set_bit(set_bit(overlay(
        uuid_send(gen_random_uuid()) placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6
    ), 52, 1), 53, 1), 'hex')::uuid,
    $2::text::json, json_build_object('key', $1::text)
)
