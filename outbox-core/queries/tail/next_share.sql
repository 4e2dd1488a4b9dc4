-- Of each of some streams of a topic, the first share that is not wholly passed, with the two snapshots that bound its batch.
-- $1 topic, $2 slots of the streams, $3 batch numbers and $4 positions that they have come to; the arrays are equally long.
-- The share is found first, by its key from there on, and its batches by theirs: joined in one step the ledger would be read
-- from its beginning. How many partitions the topic had there is what was laid before; the row that laid more is no cut.
select wanted.partition, share.batch_number, share.event_count, share.first_position, share.last_position, share.first_new_position,
       batch.batch_id, batch.cut_at,
       -- What an era begins with may be of transactions of another server: only what is before it tells which rows these are.
       case when batch.kind = 'era' then '9223372036854775807:9223372036854775807:' else batch.snapshot::text end as snapshot,
       case when batch.kind = 'era' then '3:3:' else coalesce(again.base, before.snapshot)::text end as snapshot_before,
       coalesce(again.passed_snapshots, opened.passed_snapshots, '{}')::text[] as passed_snapshots,
       coalesce(again.passed_positions, opened.passed_positions, '{}') as passed_positions,
       -- A re-issue may go back to what was appended before its era.
       case when again.batch_number is not null then coalesce((select e.position_floor from outbox.era e where e.era = batch.era), 0) else 0 end as era_floor,
       case when wanted.partition > 0 then (
           select l.partitions from outbox.topic_layout l
           where l.topic = $1::text and l.batch_number < share.batch_number order by l.generation desc limit 1
       ) else 1 end as partitions,
       moved.generation as moved_generation, moved.partitions as moved_partitions
from unnest($2::integer[], $3::bigint[], $4::bigint[]) wanted (partition, batch_number, position)
cross join lateral (
    select s.*
    from outbox.share s
    where s.topic = $1::text and s.partition = wanted.partition
      and s.batch_number >= wanted.batch_number and (s.batch_number > wanted.batch_number or s.last_position > wanted.position)
    order by s.batch_number
    limit 1
) share
cross join lateral (select b.batch_id, b.kind, b.era, b.cut_at, b.snapshot from outbox.batch b where b.number = share.batch_number limit 1) batch
cross join lateral (select b.snapshot from outbox.batch b where b.number = share.batch_number - 1 limit 1) before
left join lateral (
    select l.generation, l.partitions from outbox.topic_layout l where l.topic = $1::text and l.batch_number = share.batch_number limit 1
) moved on batch.kind = 'moved'
-- Of a re-issue, what stands wholly before it, and what in part.
left join outbox.reissue again on again.batch_number = share.batch_number
left join outbox.era_share opened on batch.kind = 'era' and opened.batch_number = share.batch_number
                                 and opened.topic = $1::text and opened.partition = wanted.partition
