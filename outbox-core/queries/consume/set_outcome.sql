-- No day is locked but those of the events.
-- Answers how many changed: each of them must. The failed attempts of an event that waited stay with it when it leaves its lane.
update outbox.inbox known
set outcome = $2, applied_at = clock_timestamp(),
    history = coalesce((select nullif(waited.history, '[]') from outbox.parked_event waited
                        where waited.consumer = known.consumer and waited.source = known.source and waited.id = known.id), known.history)
from unnest($3::text[], $4::text[], $5::timestamptz[]) given (source, id, recorded_at)
where known.consumer = $1 and known.source = given.source and known.id = given.id
  and known.recorded_at = given.recorded_at and known.recorded_at = any($5)
  and known.outcome = any($6)
