-- What became of orders, by their numbers.
select row_to_json(shown)::text
from (
    select number, stream, topic, partition, state, from_entry, to_entry, kept, wanted, events, removed, answer, is_preview, actor, reason, ordered_at, answered_at
    from outbox_ops.reissue_orders where number = any ($1) order by number
) shown
