-- The first share of a stream that is not wholly passed, with the two snapshots that bound its batch.
-- $1 topic, $2 batch number and $3 position that the stream has come to.
select share.batch_number, share.event_count, share.first_position, share.last_position, share.first_new_position,
       batch.batch_id, batch.snapshot::text as snapshot, before.snapshot::text as snapshot_before
from outbox.share share
join outbox.batch batch on batch.number = share.batch_number
join outbox.batch before on before.number = share.batch_number - 1
where share.topic = $1::text and share.partition = 0
  and (share.batch_number > $2::bigint or (share.batch_number = $2::bigint and share.last_position > $3::bigint))
order by share.batch_number
limit 1
