-- The first share of a stream that is not wholly passed, with the two snapshots that bound its batch.
-- $1 topic and $2 slot of the stream, $3 batch number and $4 position that it has come to. The share is found first, by its
-- key from there on, and its batches by theirs: joined in one step the ledger would be read from its beginning.
select share.batch_number, share.event_count, share.first_position, share.last_position, share.first_new_position,
       batch.batch_id, batch.snapshot::text as snapshot, before.snapshot::text as snapshot_before
from (
    select s.*
    from outbox.share s
    where s.topic = $1::text and s.partition = $2::integer
      and s.batch_number >= $3::bigint and (s.batch_number > $3::bigint or s.last_position > $4::bigint)
    order by s.batch_number
    limit 1
) share
cross join lateral (select b.batch_id, b.snapshot from outbox.batch b where b.number = share.batch_number limit 1) batch
cross join lateral (select b.snapshot from outbox.batch b where b.number = share.batch_number - 1 limit 1) before
