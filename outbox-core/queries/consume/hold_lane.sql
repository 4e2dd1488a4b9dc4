-- Nobody joins from here on. What joined before is seen by the next statement.
select from outbox.parked_lane where consumer = $1 and flow = $2 and lane = $3 for update
