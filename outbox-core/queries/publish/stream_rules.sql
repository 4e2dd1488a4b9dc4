-- What trimming goes by, for each of the streams with topic $1 and slot $2: how long entries stay, the hard cap, the floor,
-- the groups that it waits for (seen on it, or expected there) and those that a person unregistered; with the clock that batch ids are of.
select e.topic, e.partition,
       coalesce(floor.batch_id, 0) as floor_batch_id, coalesce(floor.position, 0) as floor_position, coalesce(floor.cause = 'cap', false) as capped,
       coalesce((extract(epoch from floor.recorded_at) * 1000)::bigint, 0) as floor_ms,
       (extract(epoch from rule.retention) * 1000)::bigint as retention_ms, rule.cap,
       coalesce(readers.registered, '{}') as registered, coalesce(readers.expected, '{}') as expected,
       coalesce(readers.forgotten, '{}') as forgotten, coalesce(readers.delivered, '{}') as delivered,
       (extract(epoch from clock_timestamp()) * 1000)::bigint as clock_ms
from unnest($1::text[], $2::integer[]) e (topic, partition)
left join outbox.stream_rule rule on rule.topic = e.topic
left join lateral (
    select f.batch_id, f.position, f.cause, f.recorded_at
    from outbox.trim_floor f
    where f.topic = e.topic and f.partition = e.partition
    order by f.batch_id desc, f.position desc
    limit 1
) floor on true
cross join lateral (
    select array_agg(r.name) filter (where r.action = 'registered' and r.is_own) as registered,
           array_agg(r.name) filter (where r.action = 'registered' and not r.is_own) as expected,
           array_agg(r.name) filter (where r.action = 'forgotten') as forgotten,
           array_agg(r.delivered) filter (where r.action = 'forgotten') as delivered
    from outbox.groups_of(e.topic, e.partition) r
) readers
