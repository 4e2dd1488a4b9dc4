-- Open transactions that hold something back, the oldest first.
select row_to_json(shown)::text
from (
    select pid, kind, user_name, application, state, started_at, extract(epoch from age)::float8 as age_seconds, query_started_at, waits_for,
           prepared_name, holds_back
    from outbox_ops.waiting_transactions order by started_at limit 100
) shown
