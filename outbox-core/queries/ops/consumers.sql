-- Consumer groups, with how long their ids are remembered. $1 one of them, or null for all.
select row_to_json(shown)::text
from (
    select c.*, w.keep, w.floor, w.reason as floor_reason, w.kept, w.state as inbox_state, w.passed_until, w.needed_since, w.needed_for, w.holds
    from outbox_ops.consumers c
    join outbox_ops.inbox_window w using (consumer)
    where $1::text is null or c.consumer = $1
    order by c.consumer limit 1000
) shown
