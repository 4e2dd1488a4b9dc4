-- One more failed attempt of a parked event. The last 20 are told.
update outbox.parked_event
set attempts = attempts + 1,
    first_failed_at = coalesce(first_failed_at, clock_timestamp()),
    history = (case when jsonb_array_length(history) >= 20 then history - 0 else history end)
              || jsonb_build_object('number', attempts + 1, 'failed_at', clock_timestamp(), 'seconds', $5::float8,
                                    'class', $6::text, 'error', $7::text)
where consumer = $1 and flow = $2 and lane = $3 and place = $4
