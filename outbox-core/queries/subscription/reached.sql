-- Whether a subscription ($1; of a projection, its live generation) has what is asked for behind it: events of a transaction ($2; null: none is named)
-- and at positions ($3). `unseen`: not committed yet, or never. `parked`: an event of them, or one before it in its stream, failed.
-- `standby`: a transaction was named, and the snapshots of a standby do not tell which are open. Everything else is `done` or `pending`. No row: there is no such subscription.
with asked as materialized (
    select e.position, e.transaction_id, e.stream_id, e.version from outbox.stored_event e where e.transaction_id = $2::text::xid8
    union
    select e.position, e.transaction_id, e.stream_id, e.version from outbox.stored_event e where e.position = any($3::bigint[])
)
select case
    when $2::text is not null and pg_is_in_recovery() then 'standby'
    when $2::text is not null and not pg_visible_in_snapshot($2::text::xid8, pg_current_snapshot())
      or (select count(*) from asked a where a.position = any($3::bigint[])) < (select count(distinct p) from unnest($3::bigint[]) p) then 'unseen'
    when exists (
        select from asked a
        join outbox.subscription_checkpoint c
          on c.subscription = s.name and c.generation = s.generation and c.partition = a.stream_id % s.partitions
        where not (coalesce(a.position <= (select e.position_floor from outbox.era e where e.era = c.era), false)
                   or a.position <= c.done_through and pg_visible_in_snapshot(a.transaction_id, c.done)
                   or c.goal is not null and a.position <= c.after_position and pg_visible_in_snapshot(a.transaction_id, c.goal))) then 'pending'
    when exists (
        select from asked a
        join outbox.parked_stream p on p.subscription = s.name and p.generation = s.generation and p.stream = a.stream_id
        where p.version <= a.version and p.state = 'parked') then 'parked'
    when exists (
        select from asked a
        join outbox.parked_stream p on p.subscription = s.name and p.generation = s.generation and p.stream = a.stream_id
        where p.version <= a.version) then 'pending'
    else 'done' end as state
from outbox.subscription s
where s.name = $1::text and s.generation = coalesce((select p.generation from outbox.projection p where p.name = s.name), 1)
