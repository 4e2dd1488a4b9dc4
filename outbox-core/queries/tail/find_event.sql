-- The entry id under which an event was published first: of the first batch whose snapshot sees its transaction. A batch is cut
-- after its events are recorded, and its id is at least the milliseconds of that. $1 id of the event, $2 topic.
select batch.batch_id, event.position
from (select l.position, l.transaction_id, l.recorded_at from outbox.log l where l.id = $1::text::uuid and l.topic = $2::text limit 1) event
cross join lateral (
    select b.batch_id from outbox.batch b
    where b.batch_id >= (extract(epoch from event.recorded_at) * 1000)::bigint and pg_visible_in_snapshot(event.transaction_id, b.snapshot)
    order by b.batch_id
    limit 1
) batch
