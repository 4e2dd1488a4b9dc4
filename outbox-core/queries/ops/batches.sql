-- The newest batches.
select row_to_json(shown)::text
from (
    select number, batch_id, kind, era, epoch, event_count, first_position, last_position, cut_at
    from outbox_ops.batches order by number desc limit 20
) shown
