-- What the gauges show beside the backlog of each topic.
select (select count(*) from outbox_ops.topics where state = 'set_aside') as set_aside,
       (select count(*) from outbox_ops.topics where state = 'blocked') as blocked,
       waiting.transactions as waiting,
       coalesce(extract(epoch from waiting.age), 0)::float8 as waiting_age,
       pg_catalog.pg_notification_queue_usage() as notification_queue,
       extract(epoch from clock_timestamp())::float8 as sampled_at
from (select count(*) as transactions, max(age) as age from outbox_ops.waiting_transactions where 'appends' = any (holds_back)) waiting
