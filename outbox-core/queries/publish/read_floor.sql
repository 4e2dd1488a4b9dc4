-- What took an entry off a stream: the lowest floor above it. $1 topic and $2 slot of the stream, $3 and $4 the id.
select f.cause
from outbox.trim_floor f
where f.topic = $1::text and f.partition = $2::integer and (f.batch_id, f.position) > ($3::bigint, $4::bigint)
order by f.batch_id, f.position
limit 1
