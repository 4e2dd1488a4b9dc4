-- What cannot be put out again, the latest first.
select row_to_json(shown)::text
from (
    select topic, partition, stream, after_entry, through_entry, events, why, missed_by, found_at
    from outbox_ops.losses order by found_at desc limit 1000
) shown
