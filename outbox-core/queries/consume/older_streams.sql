-- How far the group came on these streams, in the order they are given, before which entry a person gave up what is missing, whether
-- anything that came from them is parked, how often the group was set back before that, and where it finds what a stream no longer has.
select progress.passed_batch::text,
       progress.passed_position::text,
       (select hole.entry_id from outbox.hole_pass hole where hole.consumer = $1 and hole.stream = asked.stream
        order by string_to_array(hole.entry_id, '-')::numeric[] desc limit 1),
       exists (select from outbox.parked_lane lane where lane.consumer = $1 and lane.stream = asked.stream),
       coalesce((select consumer.seeks from outbox.consumer consumer where consumer.name = $1), 0),
       progress.prelude
from unnest($2::text[]) with ordinality asked (stream, place)
left join outbox.consumer_stream progress on progress.consumer = $1 and progress.stream = asked.stream
order by asked.place
