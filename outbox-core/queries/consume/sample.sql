-- What waits of the streams that the member $2 applies, for gauges. Counts end at ten thousand, so that a look costs little
-- however much waits. What is the whole group's is told by one member: the one that applies the first stream of all.
with held as (
    select lease.stream, lease.holder = $2 as is_mine
    from outbox.consumer_lease lease
    where lease.consumer = $1 and lease.holder is not null and lease.expires_at > clock_timestamp()
)
select json_build_object(
    'streams', coalesce((
        select json_agg(json_build_object(
            'stream', held.stream,
            'passed', progress.passed_batch || '-' || progress.passed_position,
            'keys', (
                select count(*) from (
                    select from outbox.parked_lane lane
                    where lane.consumer = $1 and lane.stream = held.stream limit 10000) key),
            'events', (
                select count(*) from (
                    select from outbox.parked_lane lane
                    join outbox.parked_event event on (event.consumer, event.flow, event.lane) = (lane.consumer, lane.flow, lane.lane)
                    where lane.consumer = $1 and lane.stream = held.stream limit 10000) waiting)))
        from held left join outbox.consumer_stream progress on progress.consumer = $1 and progress.stream = held.stream
        where held.is_mine), '[]'),
    'letters', case when (select first.is_mine from held first order by first.stream limit 1) then (
        select count(*) from (
            select from outbox.dead_letter letter where letter.consumer = $1 and letter.state = 'dead' limit 10000) open) end
)::text
