-- Says why a stream that lost its end is not put out again, where it is said that it did: once per reason, and
-- since when it waits stays. $1 topic and $2 slot of the stream,
-- $3 why.
insert into outbox.stream_action (topic, partition, action, batch_number, position, event_id, reason, acted_at)
select latest.topic, latest.partition, latest.action, latest.batch_number, latest.position, latest.event_id, $3::text, latest.acted_at
from (
    select a.* from outbox.stream_action a
    where a.topic = $1::text and a.partition = $2::integer
    order by a.number desc
    limit 1
) latest
where latest.action = 'lost' and latest.reason is distinct from $3::text
