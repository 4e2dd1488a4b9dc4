-- How far the group came on these streams, in the order they are given, and whether anything that came from them is parked.
select progress.passed_batch::text,
       progress.passed_position::text,
       exists (select from outbox.parked_lane lane where lane.consumer = $1 and lane.stream = asked.stream)
from unnest($2::text[]) with ordinality asked (stream, place)
left join outbox.consumer_stream progress on progress.consumer = $1 and progress.stream = asked.stream
order by asked.place
