-- How far streams have come, one row each. Asynchronous: what a crash undoes is published again under the same ids,
-- which adds nothing. The arrays $1 to $6 are equally long; $7 is the leader's epoch.
insert into outbox.progress (topic, partition, batch_number, position, chain_batch_id, chain_position, epoch)
select e.topic, e.partition, e.batch_number, e.position, e.chain_batch_id, e.chain_position, $7::bigint
from unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
     e (topic, partition, batch_number, position, chain_batch_id, chain_position),
     (select set_config('synchronous_commit', 'off', true)) relaxed
