-- A subscription ($1), its generation ($2), with this many partitions ($3), of these categories ($4) and types ($5; null: all), if it
-- is not there. $6: everything that can be seen now counts as done, and this was the last position drawn before a transaction that
-- has ended (checkpoint.rs tells what for); null: nothing is done. Of a projection only the generation that is live or is being built: one that was replaced does not come back. Waits for a
-- switch, and then sees what that left.
with known as materialized (
    select p.name from outbox.projection p
    where p.name = $1::text
      and (p.generation = $2::integer
           or exists (select from outbox.projection_rebuild r
                      where r.projection = p.name and r.generation = $2::integer and r.state in ('ordered', 'building', 'held')))
    for share of p
), made as (
    insert into outbox.subscription (name, generation, partitions, categories, types)
    select $1::text, $2::integer, $3::integer, $4::text[], $5::text[]
    where exists (select from known) or not exists (select from outbox.projection p where p.name = $1::text)
    on conflict do nothing
    returning name, generation, partitions
), place as (
    select made.name, made.generation, slot.partition
    from made cross join lateral generate_series(0, made.partitions - 1) slot (partition)
), lease as (
    insert into outbox.subscription_lease (subscription, generation, partition) select name, generation, partition from place
), checkpoint as (
    insert into outbox.subscription_checkpoint (subscription, generation, partition, era, done, done_floor, done_through, drawn)
    select place.name, place.generation, place.partition,
           case when $6::bigint is null then 1 else (select max(e.era) from outbox.era e) end,
           case when $6::bigint is null then '3:3:' else pg_current_snapshot() end, coalesce($6::bigint, 0),
           case when $6::bigint is null then 0 else drawn.through end, coalesce($6::bigint, 0)
    from place cross join (select case when p.is_called then p.last_value else 0 end as through from outbox.log_position p) drawn
)
select count(*) from made
