-- Why something stands still, the worst first.
select row_to_json(shown)::text
from (
    select cause, severity, subject, since, reason
    from outbox_ops.causes order by array_position(array['stalled', 'degraded', 'note'], severity), since nulls last limit 100
) shown
