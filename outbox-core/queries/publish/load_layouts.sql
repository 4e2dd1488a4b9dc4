-- Which topics have had how many partitions from which batch on.
select topic, generation, partitions, batch_id, moved
from outbox.topic_layout
order by topic, generation
