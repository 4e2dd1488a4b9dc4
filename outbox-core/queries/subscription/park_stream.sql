-- A stream waits at the event ($5 version) that failed for the first time, or for good at once: $6 state, $7 pause in ms, $8 class, $9 error.
insert into outbox.parked_stream (subscription, generation, partition, stream, version, state, attempts, retry_at, error_class, error)
values ($1::text, $2::integer, $3::integer, $4::bigint, $5::bigint, $6::text, 1, clock_timestamp() + $7::float8 * interval '1 millisecond', $8::text, $9::text)
on conflict (subscription, generation, stream) do nothing
