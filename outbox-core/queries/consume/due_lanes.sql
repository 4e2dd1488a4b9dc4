-- Keys of a stream that are tried again, by when; and for the others of them when to look.
select lane, greatest(extract(epoch from due_at - clock_timestamp()) * 1000, 0)::bigint
from outbox.parked_lane
where consumer = $1 and stream = $2 and state in ('retrying', 'draining')
order by due_at
limit $3
