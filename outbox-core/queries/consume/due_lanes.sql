-- Keys of a stream that are tried again, by when. What is never due is not walked over: of dead keys there may be very many.
select lane, greatest(extract(epoch from due_at - clock_timestamp()) * 1000, 0)::bigint
from outbox.parked_lane
where consumer = $1 and stream = $2 and due_at < 'infinity'
order by due_at
limit $3
