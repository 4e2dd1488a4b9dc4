-- Topics with events to publish, the longest backlog first.
select topic, sum(events)::bigint as events, coalesce(extract(epoch from max(oldest_age)), 0)::float8 as oldest_age
from outbox_ops.backlog
group by topic
order by sum(events) desc, topic
limit 10000
