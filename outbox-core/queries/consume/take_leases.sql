-- `for update` waits for no one: a member that is committing holds the row for key share, and is asked about again later.
-- A lease that ends later than a member can have asked for was taken before the clock was set back: it is free, or that of a dead
-- member would last as much longer.
with free as (
    select lease.consumer, lease.stream
    from outbox.consumer_lease lease
    where lease.consumer = $1 and lease.stream = any($2)
        and (lease.expires_at <= clock_timestamp()
             or lease.expires_at > clock_timestamp() + greatest(interval '600 seconds', $4 * interval '2 milliseconds'))
    order by lease.stream
    for update skip locked
)
update outbox.consumer_lease lease
set epoch = lease.epoch + 1,
    holder = $3,
    acquired_at = clock_timestamp(),
    expires_at = clock_timestamp() + $4 * interval '1 millisecond'
from free
where lease.consumer = free.consumer and lease.stream = free.stream
returning lease.stream, lease.epoch
