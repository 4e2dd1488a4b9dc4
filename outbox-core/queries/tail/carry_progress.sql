-- Records the latest progress of every stream again whose row is below number $1, so that the piece that holds it may go.
insert into outbox.progress (topic, partition, batch_number, position, chain_batch_id, chain_position, epoch)
select latest.topic, latest.partition, latest.batch_number, latest.position, latest.chain_batch_id, latest.chain_position, latest.epoch
from outbox.topic_stream stream
cross join lateral (
    select p.* from outbox.progress p
    where p.topic = stream.topic and p.partition = stream.partition
    order by p.batch_number desc, p.position desc, p.number desc
    limit 1
) latest
where latest.number < $1::bigint
