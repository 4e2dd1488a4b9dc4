-- A letter that died again, put back or after its inbox was forgotten, is the same row; one that waits already stays as it is.
insert into outbox.dead_letter as known
    (consumer, stream, entry_id, flow, lane, place, source, id, type, schema_version, key, recorded_at, entry_fields,
     error_class, error, error_kind, fingerprint, attempts, history, first_failed_at)
values ($1, $2, $3, $4, $5, coalesce($6, nextval('outbox.parked_place')), $7, $8, $9, $10, $11, $12, $13,
        $14, $15, $16, $17, $18,
        (case when jsonb_array_length($19::jsonb) >= 20 then $19::jsonb - 0 else $19::jsonb end)
        || jsonb_build_object('number', $18::integer, 'failed_at', clock_timestamp(), 'seconds', $20::float8,
                              'class', $14::text, 'error', $15::text),
        coalesce((select first_failed_at from outbox.parked_event where consumer = $1 and flow = $4 and lane = $5 and place = $6),
                 (select first_failed_at from outbox.consumer_failure where consumer = $1 and stream = $2 and entry_id = $3),
                 clock_timestamp()))
on conflict (consumer, stream, entry_id) do update
set state = 'dead',
    place = excluded.place,
    error_class = excluded.error_class,
    error = excluded.error,
    error_kind = excluded.error_kind,
    fingerprint = excluded.fingerprint,
    attempts = excluded.attempts,
    history = excluded.history,
    dead_at = clock_timestamp(),
    changed_at = clock_timestamp()
where known.state <> 'dead'
