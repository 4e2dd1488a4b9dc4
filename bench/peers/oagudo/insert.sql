-- What its writer inserts; the time is that of the insert, as with the service's clock.
-- The id rises with time, by the same expression as ours: a random one would make its index dear.
insert into outbox (id, created_at, scheduled_at, metadata, payload, times_attempted)
values (
    encode(set_bit(set_bit(overlay(
        uuid_send(gen_random_uuid()) placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6
    ), 52, 1), 53, 1), 'hex')::uuid,
    clock_timestamp(), clock_timestamp(), convert_to($1::text, 'UTF8'), convert_to($2::text, 'UTF8'), 0
)
