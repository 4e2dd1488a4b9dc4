-- A stream that was said to have lost its end has it, and nothing is to be put out again: it goes on. $1 topic and $2 slot of the stream.
insert into outbox.stream_action (topic, partition, action, reason)
select $1::text, $2::integer, 'resume', 'the entry last put on the stream is there'
from (select set_config('synchronous_commit', 'on', true)) flushed
where (
    select latest.action = 'lost' from outbox.stream_action latest
    where latest.topic = $1::text and latest.partition = $2::integer
    order by latest.number desc
    limit 1)
returning number
