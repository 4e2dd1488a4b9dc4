-- Every stream with the place it has come to, the place it should come to, and whether it was set aside.
select topic.name as topic, 0 as partition,
       coalesce(passed.batch_number, 0) as batch_number, coalesce(passed.position, 0) as position,
       coalesce(passed.chain_batch_id, 0) as chain_batch_id, coalesce(passed.chain_position, 0) as chain_position,
       coalesce(ahead.batch_number, 0) as target_batch_number, coalesce(ahead.last_position, 0) as target_position,
       coalesce(latest.action, '') as latest_action, coalesce(latest.reason, '') as latest_reason,
       coalesce(latest.number, 0) as latest_action_number
from outbox.topic topic
left join lateral (
    select p.batch_number, p.position, p.chain_batch_id, p.chain_position from outbox.progress p
    where p.topic = topic.name and p.partition = 0
    order by p.batch_number desc, p.position desc
    limit 1
) passed on true
left join lateral (
    select s.batch_number, s.last_position from outbox.share s
    where s.topic = topic.name and s.partition = 0
    order by s.batch_number desc
    limit 1
) ahead on true
left join lateral (
    select a.action, a.reason, a.number from outbox.stream_action a
    where a.topic = topic.name and a.partition = 0
    order by a.number desc
    limit 1
) latest on true
where ($1::text is null or topic.name = $1::text) and ($2::integer is null or $2::integer = 0)
order by topic.name
