-- Records that the entries of a stream below an id may be gone, before the first of them is taken off; nothing if that is
-- no news. $1 topic and $2 slot of the stream, $3 and $4 the id, $5 the cause, $6 how many unread entries it takes, $7 epoch.
-- The commit flushes what it sees: so the progress that is above the floor survives a crash, and the entry that the next
-- parcel looks for is never below it. Where the progress is not above it, nothing is recorded.
with flushed as materialized (
    select set_config('synchronous_commit', 'on', true)
), passed as (
    select p.chain_batch_id, p.chain_position
    from outbox.progress p
    where p.topic = $1::text and p.partition = $2::integer
    order by p.batch_number desc, p.position desc
    limit 1
)
insert into outbox.trim_floor (topic, partition, batch_id, position, cause, unread, epoch)
select $1::text, $2::integer, $3::bigint, $4::bigint, $5::text, $6::bigint, $7::bigint
from flushed, passed
where ($3::bigint, $4::bigint) <= (passed.chain_batch_id, passed.chain_position)
  and not exists (
      select from outbox.trim_floor higher
      where higher.topic = $1::text and higher.partition = $2::integer
        and (higher.batch_id, higher.position) >= ($3::bigint, $4::bigint))
returning number
