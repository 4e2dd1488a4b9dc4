-- The stream that a key's event came from last owns what waits of it.
update outbox.parked_lane set stream = $3 where consumer = $1 and flow = $2 and lane = any($4)
