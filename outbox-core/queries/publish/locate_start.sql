-- How the rows of a stream are told that stand behind its beginning, where the ledger no longer goes back to its own: by the
-- oldest batch that it still has, if that was cut before there was anything of the stream. $1 topic and $2 slot of the stream.
select oldest.number, oldest.snapshot::text as base, oldest.number as base_number,
       array[oldest.snapshot]::text[] as passed_snapshots, array[0]::bigint[] as passed_positions
from (select o.number, o.snapshot, o.cut_at from outbox.batch o order by o.number limit 1) oldest
join outbox.topic topic on topic.name = $1::text
left join lateral (
    select min(l.batch_number) as batch_number from outbox.topic_layout l where l.topic = $1::text and $2::integer between 1 and l.partitions
) laid on true
where coalesce(laid.batch_number > oldest.number, topic.created_at > oldest.cut_at)
