-- Streams at the sink, as the leading relay last saw them: those that a group holds first.
select row_to_json(shown)::text
from (
    select topic, partition, stream, length, memory_bytes, first_entry, last_entry, extract(epoch from retention)::float8 as retention_seconds,
           cap, floor, trimmed_at, held_by, held_since, lost_unread, seen_at
    from outbox_ops.streams order by held_by is null, topic, partition limit 10000
) shown
