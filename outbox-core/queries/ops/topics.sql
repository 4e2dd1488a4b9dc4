-- Every stream: retention, how far it was published, whether it waits for a person.
select row_to_json(shown)::text
from (
    select stream, topic, partition, retention, extract(epoch from keep)::float8 as keep_seconds, seen_since, state, stopped_since, reason, event_id,
           passed_batch, passed_position, last_entry, passed_at
    from outbox_ops.topics order by topic, partition, stream limit 10000
) shown
