update outbox.inbox_foreign known
set outcome = $2, applied_at = clock_timestamp()
from unnest($3::text[], $4::text[]) given (source, id)
where known.consumer = $1 and known.source = given.source and known.id = given.id and known.outcome = any($5)
