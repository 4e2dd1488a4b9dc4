update outbox.parked_lane
set state = $4,
    due_at = case when $4 in ('retrying', 'draining') then clock_timestamp() + $5 * interval '1 millisecond' else 'infinity' end,
    changed_at = clock_timestamp()
where consumer = $1 and flow = $2 and lane = $3
