-- Lays the partitions of the first topic that should have more than it has, with a row of the ledger: two leaders cannot lay
-- the same place, nor can one cut by the old layout behind it. No row: no topic should have more.
-- A topic of which something was cut has one share per stream that it had: the entry that says that it moved on. Nothing was
-- cut of it: it has had them from the beginning, and no stream without a number.
-- $1 number of the batch before, $2 era, $3 epoch of the leader.
with flushed as materialized (
    select set_config('synchronous_commit', 'on', true)
), due as materialized (
    select wanted.name as topic, wanted.partitions, coalesce(laid.partitions, 1) as partitions_before, laid.generation as generation_before,
           laid.generation is not null
           or exists (select from outbox.share s where s.topic = wanted.name)
           or exists (select from outbox.progress p where p.topic = wanted.name) as begun
    from outbox.topic wanted
    left join lateral (
        select l.generation, l.partitions from outbox.topic_layout l where l.topic = wanted.name order by l.generation desc limit 1
    ) laid on true
    where wanted.partitions > 1 and wanted.partitions is distinct from laid.partitions
    order by wanted.name
    limit 1
), moved as (
    insert into outbox.batch (number, batch_id, kind, era, epoch, snapshot, event_count, first_position, last_position, layouts)
    select before.number + 1,
           greatest(before.batch_id + 1, (extract(epoch from clock_timestamp()) * 1000)::bigint),
           'moved', $2::integer, $3::bigint, before.snapshot, 0, before.last_position, before.last_position,
           (select count(*) from outbox.topic_layout)
    from due, flushed, outbox.batch before
    where before.number = $1::bigint
    returning number, batch_id, snapshot, cut_at
), shared as (
    insert into outbox.share (batch_number, topic, partition, event_count, first_position, last_position)
    select moved.number, due.topic, slot.partition, 1, 0, 0
    from moved, due, generate_series(case due.partitions_before when 1 then 0 else 1 end,
                                     case due.partitions_before when 1 then 0 else due.partitions_before end) slot (partition)
    where due.begun
), laid as (
    insert into outbox.topic_layout (topic, generation, partitions, batch_number, batch_id, moved)
    select due.topic, coalesce(due.generation_before, 0) + 1, due.partitions, moved.number, moved.batch_id, due.begun
    from moved, due
    returning generation
)
select moved.number, moved.batch_id, moved.snapshot::text as snapshot, moved.cut_at, due.topic, laid.generation, due.partitions,
       due.partitions_before, due.begun
from moved, due, laid
