-- Later events stand for these identities from now on. The transaction has their rows by enter_keyed.sql.
update outbox.inbox_keyed known
set source = given.source, id = given.id, entered_at = given.entered_at, expires_at = given.entered_at + $3 * interval '1 millisecond',
    came_at = clock_timestamp()
from unnest($4::bytea[], $5::text[], $6::text[], $7::timestamptz[]) given (identity, source, id, entered_at)
where known.consumer = $1 and known.topic = $2 and known.identity = given.identity
