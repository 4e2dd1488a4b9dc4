-- Takes free partitions, at most $5. Who is committing holds the row for key share: that one is not waited for, and is asked about
-- again later. A lease that ends later than anybody can have asked for was taken before the clock was set back.
with free as (
    select lease.partition
    from outbox.subscription_lease lease
    where lease.subscription = $1::text and lease.generation = $2::integer
      and (lease.holder is null or lease.expires_at <= clock_timestamp() or lease.expires_at > clock_timestamp() + $4::float8 * interval '2 milliseconds')
    order by lease.partition
    limit $5::bigint
    for update skip locked
)
update outbox.subscription_lease lease
set epoch = lease.epoch + 1, holder = $3::text, acquired_at = clock_timestamp(),
    expires_at = clock_timestamp() + $4::float8 * interval '1 millisecond'
from free
where lease.subscription = $1::text and lease.generation = $2::integer and lease.partition = free.partition
returning lease.partition, lease.epoch
