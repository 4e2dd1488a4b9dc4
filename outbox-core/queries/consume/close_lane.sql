delete from outbox.parked_lane lane
where lane.consumer = $1 and lane.flow = $2 and lane.lane = $3
  and not exists (
      select from outbox.parked_event event
      where event.consumer = lane.consumer and event.flow = lane.flow and event.lane = lane.lane
  )
