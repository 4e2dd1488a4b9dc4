-- Streams of consumer groups. $1 one group, or null for all.
select row_to_json(shown)::text
from (
    select * from outbox_ops.consumer_partitions where $1::text is null or consumer = $1
    order by consumer, stream limit 10000
) shown
