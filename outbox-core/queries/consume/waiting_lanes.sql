-- Keys that wait for a member that knows the version of their first event.
select lane.lane, head.type, head.schema_version
from outbox.parked_lane lane
cross join lateral (
    select event.type, event.schema_version
    from outbox.parked_event event
    where event.consumer = lane.consumer and event.flow = lane.flow and event.lane = lane.lane
    order by event.place
    limit 1
) head
where lane.consumer = $1 and lane.stream = $2 and lane.flow = $3 and lane.state = 'waiting_version' and lane.lane > $4
order by lane.lane
limit $5
