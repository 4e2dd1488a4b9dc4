-- Stores the batch whose rows look.sql brought, with its shares, and nothing else: which rows these are was decided by the snapshot that they
-- were read in. That the batch before is still the last one is for the ledger to say (number = previous + 1, unique). If this is not the very
-- process of the server that looked ($9, $10), there is no row and nothing is cut: behind a pooler that nobody told us of it may be another server.
-- What began since that snapshot was taken is not in it, this transaction neither: it is in the next batch, or has nothing in the log.
-- $1 number of the batch before, $2 its id, $3 era, $4 epoch of the leader, $5 the snapshot of look.sql, $6 how many events,
-- $7 lowest and $8 highest position of all rows, $9 process and $10 start of the server of look.sql, $11 to $15 by share: topic, events,
-- lowest and highest position, lowest position of a new transaction, $16 whether anybody may subscribe to stored events.
with flushed as materialized (
    -- The commit of a batch flushes the log past every commit that it contains, whatever the server's default.
    select set_config('synchronous_commit', 'on', true)
), cut as (
    insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position, layouts)
    select $1::bigint + 1,
           greatest($2::bigint + 1, (extract(epoch from clock_timestamp()) * 1000)::bigint),
           $3::integer, $4::bigint, $5::text::pg_snapshot, $6::bigint, $7::bigint, $8::bigint,
           0
    from flushed
    where pg_backend_pid() = $9::integer and (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint = $10::bigint
    returning number, batch_id
), shared as (
    insert into outbox.share (batch_number, topic, partition, event_count, first_position, last_position, first_new_position)
    select cut.number, share.topic, 0, share.event_count, share.first_position, share.last_position, share.first_new_position
    from cut, unnest($11::text[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[])
              share (topic, event_count, first_position, last_position, first_new_position)
)
select cut.number, cut.batch_id, case when $16::boolean then pg_notify('outbox_batch', cut.number::text) is not null end as has_told
from cut
