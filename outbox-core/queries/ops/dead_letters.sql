-- What consumers gave up, by consumer, type and class of error; never what handlers said.
select row_to_json(shown)::text
from (
    select consumer, type, error_class, count(*) as events, min(dead_at) as first_at, max(dead_at) as last_at
    from outbox_ops.dead_letters group by consumer, type, error_class order by max(dead_at) desc limit 100
) shown
