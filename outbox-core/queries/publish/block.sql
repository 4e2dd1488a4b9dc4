-- Says that a stream is blocked ($2 = 'blocked') or no longer ($2 = 'unblocked'), once per change. $1 topic, $3 why.
insert into outbox.stream_action (topic, action, reason)
select $1::text, $2::text, $3::text
where $2::text is distinct from (
    select latest.action from outbox.stream_action latest
    where latest.topic = $1::text and latest.partition = 0
    order by latest.number desc
    limit 1
)
