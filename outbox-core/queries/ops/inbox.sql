-- Consumer groups and their streams.
select row_to_json(shown)::text
from (select * from outbox_ops.inbox order by consumer, stream limit 1000) shown
