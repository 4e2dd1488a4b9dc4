insert into outbox.dead_letter
    (consumer, stream, entry_id, source, id, type, key, recorded_at, entry_fields, error_class, error, attempts, first_failed_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
        coalesce((select first_failed_at from outbox.consumer_failure where consumer = $1 and stream = $2 and entry_id = $3),
                 clock_timestamp()))
on conflict (consumer, stream, entry_id) do nothing
