-- Streams with events to publish, the one that waits longest first.
select row_to_json(shown)::text
from (
    select stream, topic, partition, events, exact, oldest_recorded_at, extract(epoch from oldest_age)::float8 as oldest_age_seconds
    from outbox_ops.backlog order by oldest_recorded_at, topic, partition, stream limit 1000
) shown
