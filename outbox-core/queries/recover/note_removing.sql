-- Records, before the first entry goes, that the recovery $1 takes entries off streams: from then on it is not simply chosen anew.
with flushed as materialized (
    select set_config('synchronous_commit', 'on', true)
)
update outbox.recovery r set removing_at = coalesce(r.removing_at, clock_timestamp())
from flushed where r.number = $1::bigint and r.state in ('begun', 'opened')
returning r.number
