-- An event ($4 version) of a stream that waited at $10 failed again: $5 attempts, $6 state, $7 pause in ms, $8 class, $9 error.
update outbox.parked_stream
set version = $4::bigint, attempts = $5::integer, state = $6::text, retry_at = clock_timestamp() + $7::float8 * interval '1 millisecond',
    error_class = $8::text, error = $9::text, failed_at = clock_timestamp(),
    first_failed_at = case when version = $4::bigint then first_failed_at else clock_timestamp() end
where subscription = $1::text and generation = $2::integer and stream = $3::bigint and version = $10::bigint
