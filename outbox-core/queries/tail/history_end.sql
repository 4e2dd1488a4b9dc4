-- The entry last confirmed on a stream. $1 topic, $2 slot.
select progress.chain_batch_id, progress.chain_position
from outbox.progress progress
where progress.topic = $1::text and progress.partition = $2::integer
order by progress.batch_number desc, progress.position desc
limit 1
