-- How the rows of a stream are told that stand behind its beginning, where the ledger no longer goes back to its own: by the
-- oldest batch that it still has, if that was cut before there was anything of the stream; where an era began since, by nothing at all.
-- $1 topic and $2 slot of the stream.
select oldest.number, case when oldest.era = present.era then oldest.snapshot::text else '3:3:' end as base,
       case when oldest.era = present.era then oldest.number else 0 end as base_number,
       array[case when oldest.era = present.era then oldest.snapshot::text else '3:3:' end] as passed_snapshots, array[0]::bigint[] as passed_positions
from (select o.number, o.snapshot, o.cut_at, o.era from outbox.batch o order by o.number limit 1) oldest
cross join (select e.era from outbox.era e order by e.era desc limit 1) present
join outbox.topic topic on topic.name = $1::text
left join lateral (
    select min(l.batch_number) as batch_number from outbox.topic_layout l where l.topic = $1::text and $2::integer between 1 and l.partitions
) laid on true
where coalesce(laid.batch_number > oldest.number, topic.created_at > oldest.cut_at)
