-- Where reading a stream again behind an entry may begin: at the first share that is behind it and that the log has whole.
-- Pieces of the log go by position, so a share that begins below the lowest position still there has lost its beginning, unless that was
-- removed from the event store.
-- $1 topic, $2 slot of the stream, $3 first part of the entry's id.
select share.batch_number
from outbox.share share
where share.topic = $1::text and share.partition = $2::integer
  and share.batch_number >= (select batch.number from outbox.batch batch where batch.batch_id >= $3::bigint order by batch.batch_id limit 1)
  and share.batch_number > coalesce((
      select max(lost.batch_number)
      from outbox.share lost
      where lost.topic = $1::text and lost.partition = $2::integer and lost.first_position > 0
        and lost.first_position < coalesce((select l.position from outbox.log l where l.topic = $1::text order by l.position limit 1), 9223372036854775807)
        and not exists (select from outbox.removed r
                        where r.topic = $1::text and lost.first_position between r.first_position and r.last_position)
  ), -1)
order by share.batch_number
limit 1
