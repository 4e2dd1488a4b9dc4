-- Every stream, or the one with topic $1 and slot $2, with the place it has come to, the entry that was kept if a re-issue begins
-- there, the trim floor, the place it should come to, and whether it was set aside.
select stream.topic, stream.partition,
       coalesce(passed.batch_number, 0) as batch_number, coalesce(passed.position, 0) as position,
       coalesce(passed.chain_batch_id, 0) as chain_batch_id, coalesce(passed.chain_position, 0) as chain_position,
       again.kept_batch_id, again.kept_position,
       coalesce(floor.batch_id, 0) as floor_batch_id, coalesce(floor.position, 0) as floor_position,
       coalesce(ahead.batch_number, 0) as target_batch_number, coalesce(ahead.last_position, 0) as target_position,
       coalesce(latest.action, '') as latest_action
from outbox.topic_stream stream
left join lateral (
    select p.batch_number, p.position, p.chain_batch_id, p.chain_position from outbox.progress p
    where p.topic = stream.topic and p.partition = stream.partition
    order by p.batch_number desc, p.position desc
    limit 1
) passed on true
left join lateral (
    select s.batch_number, s.last_position from outbox.share s
    where s.topic = stream.topic and s.partition = stream.partition
    order by s.batch_number desc
    limit 1
) ahead on true
left join lateral (
    select a.action from outbox.stream_action a
    where a.topic = stream.topic and a.partition = stream.partition
    order by a.number desc
    limit 1
) latest on true
left join lateral (
    select r.kept_batch_id, r.kept_position from outbox.reissue r
    where r.batch_number = passed.batch_number and r.topic = stream.topic and r.partition = stream.partition
) again on true
left join lateral (
    select f.batch_id, f.position from outbox.trim_floor f
    where f.topic = stream.topic and f.partition = stream.partition
    order by f.batch_id desc, f.position desc
    limit 1
) floor on true
where ($1::text is null or stream.topic = $1::text) and ($2::integer is null or stream.partition = $2::integer)
order by stream.topic, stream.partition
