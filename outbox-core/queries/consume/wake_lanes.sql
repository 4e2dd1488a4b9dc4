update outbox.parked_lane
set state = 'draining', due_at = clock_timestamp(), changed_at = clock_timestamp()
where consumer = $1 and flow = $2 and lane = any($3) and state = 'waiting_version'
