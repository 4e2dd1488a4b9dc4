-- What handlers said about the dead letters of the event $1: of each failed attempt, and last. Not for observers.
select letter.consumer, null::timestamptz as at, letter.error from outbox.dead_letter letter where letter.id = $1::text
union all
select letter.consumer, (attempt.value ->> 'failed_at')::timestamptz, attempt.value ->> 'error'
from outbox.dead_letter letter, jsonb_array_elements(letter.history) attempt
where letter.id = $1::text and attempt.value ->> 'error' is not null
