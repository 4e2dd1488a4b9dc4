-- Groups that streams wait for or were told to forget.
select row_to_json(shown)::text
from (
    select topic, partition, group_name, state, state_since, actor, reason, last_delivered, pending, lowest_pending, stream, seen_at
    from outbox_ops.stream_groups order by topic, partition, group_name limit 10000
) shown
