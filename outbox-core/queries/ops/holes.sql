-- Streams from which a group misses an entry, those that the relay cannot repair first.
select row_to_json(shown)::text
from (
    select topic, partition, stream, group_name, missing, held, passed, since, state, reason, changed_at, reissued_at, events, published
    from outbox_ops.holes order by state <> 'refused', since limit 1000
) shown
