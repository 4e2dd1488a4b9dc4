-- The streams that a group ever applied, and how far it came on each.
select stream, passed_entry from outbox_ops.consumer_partitions where consumer = $1 order by stream limit 10000
