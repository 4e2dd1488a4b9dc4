-- A stream ($3) that waits at version $4 is tried again after $5 ms: something was in the way, and others are due.
update outbox.parked_stream set retry_at = clock_timestamp() + $5::float8 * interval '1 millisecond'
where subscription = $1::text and generation = $2::integer and stream = $3::bigint and version = $4::bigint and state = 'retrying'
