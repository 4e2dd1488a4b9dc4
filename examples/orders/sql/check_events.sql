-- Events of each type in the store, and steps in the file: those with a time, and those that only the status tells of.
with counted as (
    select type, count(*) as events from outbox.stored_event group by type
), said as (
    select 'order.placed' as type from raw.orders
    union all select 'order.paid' from raw.orders where paid_at is not null or status = 'approved'
    union all select 'order.shipped' from raw.orders where shipped_at is not null or status = 'shipped'
    union all select 'order.delivered' from raw.orders where delivered_at is not null or status = 'delivered'
    union all select 'order.' || status from raw.orders where status in ('processing', 'invoiced', 'unavailable', 'canceled')
), expected as (
    select type, count(*) as events from said group by type
)
select coalesce(sum(expected.events), 0)::bigint as compared, count(*) filter (where counted.events is distinct from expected.events) as different
from counted full join expected using (type)
