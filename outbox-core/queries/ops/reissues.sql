-- Re-issues, those that are running first.
select row_to_json(shown)::text
from (
    select topic, partition, stream, kept, missing, asked_by, cut_at, events, removed, published, state, extract(epoch from remaining)::float8 as remaining_seconds
    from outbox_ops.reissues order by state <> 'running', cut_at desc limit 1000
) shown
