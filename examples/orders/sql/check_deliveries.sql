-- How long deliveries took by the month of the order, and how many were late.
with expected as (
    select date_trunc('month', placed_at)::date as month, count(*) as orders, count(delivered_at) as delivered,
           coalesce(sum(extract(epoch from delivered_at - placed_at)::bigint / 60), 0)::bigint as minutes,
           count(*) filter (where delivered_at > promised) as late
    from raw.orders group by 1
)
select count(expected.month) as compared,
       count(*) filter (where (m.orders, m.delivered, m.minutes, m.late) is distinct from (expected.orders, expected.delivered, expected.minutes, expected.late)) as different
from deliveries.months m full join expected using (month)
