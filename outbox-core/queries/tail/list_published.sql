-- The streams of a topic on which something was published, by their slots. $1 topic.
select slot
from generate_series(0, (select coalesce(max(layout.partitions), 0) from outbox.topic_layout layout where layout.topic = $1::text)) slots (slot)
where exists (select from outbox.progress progress
              where progress.topic = $1::text and progress.partition = slots.slot and progress.chain_batch_id > 0)
