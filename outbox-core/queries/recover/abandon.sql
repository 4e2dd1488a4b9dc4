-- Gives up a recovery that was begun, unless `recover apply` is at work on it; no row if so. $1 number, $2 why.
with flushed as materialized (
    select set_config('synchronous_commit', 'on', true)
)
update outbox.recovery r
set state = 'abandoned', abandoned_at = clock_timestamp(), abandoned_by = session_user, abandoned_because = $2::text
from flushed
where r.number = $1::bigint and r.state = 'begun'
  and not exists (select from outbox.lease l where l.holder like 'recover/%' and l.expires_at > clock_timestamp())
returning r.number
