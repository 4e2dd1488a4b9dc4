-- Who holds the rights named in $1, and in how many milliseconds the last of them is over. One that ends later than a
-- relay can ask for is free (take_lease.sql).
select coalesce(max(holder) filter (where expires_at > clock_timestamp()), '') as holder,
       greatest(0, coalesce(max(extract(epoch from expires_at - clock_timestamp()) * 1000)
           filter (where expires_at > clock_timestamp() and expires_at <= clock_timestamp() + interval '300 seconds'), 0))::bigint as remaining_ms
from outbox.lease
where name = any($1::text[])
