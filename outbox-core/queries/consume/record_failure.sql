insert into outbox.consumer_failure as known (consumer, stream, entry_id, attempts, retry_at, error_class, error)
values ($1, $2, $3, $4, clock_timestamp() + $5 * interval '1 millisecond', $6, $7)
on conflict (consumer, stream, entry_id) do update
set attempts = excluded.attempts,
    failed_at = clock_timestamp(),
    retry_at = excluded.retry_at,
    error_class = excluded.error_class,
    error = excluded.error
