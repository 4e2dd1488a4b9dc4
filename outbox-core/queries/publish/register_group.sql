-- Registers a group that was seen on a stream, once. $1 topic and $2 slot of the stream, $3 the group, $4 the entry last
-- delivered to it, $5 why.
insert into outbox.stream_group (topic, partition, name, action, delivered, reason)
select $1::text, $2::integer, $3::text, 'registered', $4::text, $5::text
where 'registered' is distinct from (
    select latest.action from outbox.stream_group latest
    where latest.topic = $1::text and latest.partition = $2::integer and latest.name = $3::text
    order by latest.number desc
    limit 1
)
