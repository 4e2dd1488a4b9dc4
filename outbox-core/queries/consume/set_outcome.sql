-- Answers how many changed: each of them must.
update outbox.inbox known
set outcome = $2, applied_at = clock_timestamp()
from unnest($3::text[], $4::text[], $5::timestamptz[]) given (source, id, recorded_at)
where known.consumer = $1 and known.source = given.source and known.id = given.id
  and known.recorded_at = given.recorded_at and known.outcome = any($6)
