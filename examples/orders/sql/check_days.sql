-- How much happened on each day.
with said as (
    select placed_at as at, 'order.placed' as type from raw.orders
    union all select paid_at, 'order.paid' from raw.orders
    union all select shipped_at, 'order.shipped' from raw.orders
    union all select delivered_at, 'order.delivered' from raw.orders
), expected as (
    select at::date as day, type, count(*) as events from said where at is not null group by 1, 2
)
select count(expected.day) as compared, count(*) filter (where d.events is distinct from expected.events) as different
from orders_by_day.days d full join expected using (day, type)
