-- Whether there is anything to do for a partition: rows behind its checkpoint, of whatever kind, a difference that is half done, a
-- new era, a server that is behind it, or a stream that is due. Looked at by index, and without a transaction id.
select c.goal is not null
    or exists (select from outbox.era e where e.era > c.era)
    or pg_snapshot_xmax(c.done) > pg_snapshot_xmax(pg_current_snapshot())
    or exists (select from outbox.stored_event e where e.transaction_id >= pg_snapshot_xmax(c.done) and e.position > c.done_floor)
    or exists (select from pg_snapshot_xip(c.done) late
               cross join lateral (select 1 from outbox.stored_event e where e.transaction_id = late limit 1) row)
           as has_events,
       exists (select from outbox.parked_stream p
               where p.subscription = c.subscription and p.generation = c.generation and p.partition = c.partition
                 and p.state = 'retrying' and p.retry_at <= clock_timestamp()) as has_due
from outbox.subscription_checkpoint c
where c.subscription = $1::text and c.generation = $2::integer and c.partition = $3::integer
