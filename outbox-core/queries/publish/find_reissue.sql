-- The re-issue of a stream that somebody asked for, if it was cut. $1 topic and $2 slot of the stream, $3 who asked.
select r.batch_number, r.kept_batch_id, r.kept_position, r.removed, share.event_count
from outbox.reissue r
join outbox.share share on share.topic = r.topic and share.partition = r.partition and share.batch_number = r.batch_number
where r.topic = $1::text and r.partition = $2::integer and r.asked_by = $3::text
order by r.batch_number
limit 1
