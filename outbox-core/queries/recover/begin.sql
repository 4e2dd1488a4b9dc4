-- Records that a recovery begins, before anything is changed, and gives up the one that it takes the place of. $1 strategy,
-- $2 reason, $3 what was seen, as JSON, $4 number of the one begun before; none: null. What that one may have taken off stays so.
-- The refusals that are known by now are what it decides about: told with what was seen.
with replaced as (
    update outbox.recovery r
    set state = 'abandoned', abandoned_at = clock_timestamp(), abandoned_by = session_user, abandoned_because = $1::text || ' was chosen instead: ' || $2::text
    where r.number = $4::bigint and r.state = 'begun'
    returning r.removing_at
)
insert into outbox.recovery (strategy, reason, found, removing_at)
select $1::text, $2::text,
       $3::text::jsonb || jsonb_build_object('refused_through', (select coalesce(max(f.number), 0) from outbox.refusal f)), replaced.removing_at
from (select set_config('synchronous_commit', 'on', true)) flushed left join replaced on true
returning number
