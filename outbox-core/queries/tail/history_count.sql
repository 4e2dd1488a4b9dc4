-- About how many events a stream has from a batch ($3) to another by its id ($4), both counted whole. $1 topic, $2 slot.
select coalesce(sum(share.event_count), 0)::bigint as events
from outbox.share share
where share.topic = $1::text and share.partition = $2::integer and share.batch_number >= $3::bigint
  and share.batch_number <= coalesce((select batch.number from outbox.batch batch where batch.batch_id <= $4::bigint order by batch.batch_id desc limit 1), -1)
