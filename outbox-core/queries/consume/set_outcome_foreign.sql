-- The same for events that do not say when they were recorded.
update outbox.inbox_foreign known
set outcome = $2, applied_at = clock_timestamp(),
    history = coalesce((select nullif(waited.history, '[]') from outbox.parked_event waited
                        where waited.consumer = known.consumer and waited.source = known.source and waited.id = known.id), known.history)
from unnest($3::text[], $4::text[]) given (source, id)
where known.consumer = $1 and known.source = given.source and known.id = given.id and known.outcome = any($5)
