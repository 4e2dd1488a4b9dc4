-- Which of these keys are parked. None of them goes while events join it; applying its first ones goes on beside.
select lane
from outbox.parked_lane
where consumer = $1 and flow = $2 and lane = any($3)
order by lane
for key share
