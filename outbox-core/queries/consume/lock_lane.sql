-- To apply its first events. Events may join behind them meanwhile.
select state = 'draining'
from outbox.parked_lane
where consumer = $1 and flow = $2 and lane = $3 and stream = $4
  and state in ('retrying', 'draining') and due_at <= clock_timestamp()
for no key update
