-- Takes the rights named in $1 for instance $2 and $3 milliseconds, if all are free or already ours; renews them if ours.
-- Shows this process to the others in the same round trip, where a state is given: $4 host, $5 process id, $6 version, $7 state,
-- $8 reason. Processes that were not seen for a day are forgotten on the way.
-- Returns the rows only when all were taken; beside them where the ledger ends, and whether a person's order waits, so that
-- nobody has to ask for either. What is judged is what `for update` returns, the rows as they are once the
-- lock is ours: a plain read beside it still sees them as they were before whoever held the lock took them.
-- It says that it knows eras: a relay that does not is refused where one was opened (migration 0014).
-- A lease that ends later than a relay can ask for (five minutes at most) was taken before the clock was set back: it is free, or
-- that of a dead leader would last as much longer.
with known as materialized (
    select set_config('outbox.knows_eras', 'on', true) as said
), held as materialized (
    select name, holder, epoch, expires_at from outbox.lease where name = any($1::text[]) order by name for update
), free as materialized (
    select count(*) = cardinality($1::text[]) as all_free
    from held
    where held.holder = $2::text or held.expires_at <= clock_timestamp()
       or held.expires_at > clock_timestamp() + interval '300 seconds'
), taken as (
    update outbox.lease lease
    set epoch = case when held.holder = $2::text and held.expires_at > clock_timestamp() then held.epoch else held.epoch + 1 end,
        acquired_at = case when held.holder = $2::text and held.expires_at > clock_timestamp() then lease.acquired_at else clock_timestamp() end,
        holder = $2::text,
        expires_at = clock_timestamp() + $3::bigint * interval '1 millisecond'
    from free, held, known
    where lease.name = held.name and free.all_free and known.said = 'on'
    returning lease.name, lease.epoch
), gone as (
    delete from outbox.relay
    where $7::text is not null and seen_at < clock_timestamp() - interval '1 day' and instance <> $2::text
), seen as (
    insert into outbox.relay as known (instance, host, process_id, version, started_at, seen_at, state, reason)
    select $2::text, $4::text, $5::integer, $6::text, clock_timestamp(), clock_timestamp(), $7::text, nullif($8::text, '')
    where $7::text is not null
    on conflict (instance) do update
    set seen_at = clock_timestamp(), state = excluded.state, reason = excluded.reason
)
select taken.name, taken.epoch, ledger.ends_with, orders.wait
from taken
cross join (select max(number) as ends_with from outbox.batch) ledger
cross join (select exists (select from outbox.reissue_order where state = 'waiting') as wait) orders
order by taken.name
