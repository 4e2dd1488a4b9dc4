delete from outbox.parked_event where consumer = $1 and flow = $2 and lane = $3 and place = $4
