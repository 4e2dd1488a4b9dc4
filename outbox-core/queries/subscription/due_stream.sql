-- The stream of a partition that has waited longest for its next attempt, if one is due. Locked against people who decide about it.
select p.stream, p.version, p.attempts
from outbox.parked_stream p
where p.subscription = $1::text and p.generation = $2::integer and p.partition = $3::integer and p.state = 'retrying'
  and p.retry_at <= clock_timestamp()
order by p.retry_at
limit 1
for update skip locked
