-- Says that a stream is blocked ($3 = 'blocked') or no longer ($3 = 'unblocked'), once per change. $1 topic and $2 slot of the
-- stream, $4 why.
insert into outbox.stream_action (topic, partition, action, reason)
select $1::text, $2::integer, $3::text, $4::text
where $3::text is distinct from (
    select latest.action from outbox.stream_action latest
    where latest.topic = $1::text and latest.partition = $2::integer
    order by latest.number desc
    limit 1
)
