-- A subscription ($1), its generation ($2), with this many partitions ($3), of these categories ($4) and types ($5; null: all), if it
-- is not there.
with made as (
    insert into outbox.subscription (name, generation, partitions, categories, types)
    values ($1::text, $2::integer, $3::integer, $4::text[], $5::text[])
    on conflict do nothing
    returning name, generation, partitions
), place as (
    select made.name, made.generation, slot.partition
    from made cross join lateral generate_series(0, made.partitions - 1) slot (partition)
), lease as (
    insert into outbox.subscription_lease (subscription, generation, partition) select name, generation, partition from place
), checkpoint as (
    insert into outbox.subscription_checkpoint (subscription, generation, partition) select name, generation, partition from place
)
select count(*) from made
