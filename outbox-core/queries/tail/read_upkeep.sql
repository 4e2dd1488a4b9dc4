-- What decides about pieces: the next values, and the first batch that some stream has not wholly passed. Every stream counts,
-- those that a topic had before it grew included.
-- Everything visible in the snapshot before that batch is on its streams, skipped ones included, set-aside ones not.
-- Positions up to the settled one were drawn a minute ago or more: if nobody lingers, whoever drew them has ended.
-- Who lingers holds a lock on a table of ours for more than five seconds, or is prepared (no process): a detach would wait
-- for it. Other long transactions are none of our business.
with stream as (
    select passed.batch_number as passed_number, passed.position as passed_position, coalesce(again.base_number, opened.needed_number) as needed_number,
           ahead.batch_number as target_number, ahead.last_position as target_position
    from outbox.topic_stream named
    cross join lateral (
        select s.batch_number, s.last_position from outbox.share s
        where s.topic = named.topic and s.partition = named.partition order by s.batch_number desc limit 1
    ) ahead
    left join lateral (
        select p.batch_number, p.position from outbox.progress p
        where p.topic = named.topic and p.partition = named.partition order by p.batch_number desc, p.position desc limit 1
    ) passed on true
    -- A re-issue in progress has rows from long before its batch.
    left join outbox.reissue again on again.batch_number = passed.batch_number
    -- So has what an era begins with.
    left join lateral (select 0::bigint as needed_number from outbox.era e where e.batch_number > 0 and e.batch_number = passed.batch_number) opened on true
), floor as (
    select coalesce(
        (select min(coalesce(stream.needed_number, stream.passed_number - 1, 0)) from stream
         where (coalesce(stream.passed_number, 0), coalesce(stream.passed_position, 0)) < (stream.target_number, stream.target_position)),
        (select max(number) from outbox.batch)) as number
)
select (select last_value from outbox.log_position) as log_head,
       (select max(number) from outbox.batch) as batch_head,
       (select last_value from outbox.progress_number) as progress_head,
       greatest(floor.number, 0) as passed_number,
       coalesce((select b.snapshot::text from outbox.batch b where b.number <= greatest(floor.number, 0) order by b.number desc limit 1), '3:3:') as passed_snapshot,
       -- That snapshot tells of rows between these two: what is not above the first was in an era before, of which everything is
       -- passed, and what is above the second came in an era after.
       coalesce(within.position_floor, 0) as era_floor,
       coalesce((select e.cut_through from outbox.era e where e.era = within.era + 1), 9223372036854775807) as era_end,
       coalesce((select b.last_position from outbox.batch b
                 where b.cut_at < clock_timestamp() - interval '1 minute' order by b.number desc limit 1), 0) as settled_position,
       exists (select from pg_catalog.pg_locks held
               left join pg_catalog.pg_stat_activity busy on busy.pid = held.pid
               where held.locktype = 'relation' and held.pid is distinct from pg_backend_pid()
                 and held.database = (select oid from pg_catalog.pg_database where datname = current_database())
                 and held.relation in (
                     select tree.relid::oid
                     from unnest(array['outbox.log', 'outbox.batch', 'outbox.share', 'outbox.progress']::regclass[]) parent,
                          pg_catalog.pg_partition_tree(parent) tree)
                 and (held.pid is null or busy.xact_start < clock_timestamp() - interval '5 seconds')) as somebody_lingers
from floor
left join lateral (
    select e.era, e.position_floor from outbox.era e where e.batch_number <= greatest(floor.number, 0) order by e.era desc limit 1
) within on true
