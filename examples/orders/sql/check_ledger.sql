-- Points, one entry for each order and reason.
with expected as (
    select order_id, 'paid' as entry_type, 10 as points from raw.orders where paid_at is not null or status = 'approved'
    union all select order_id, 'late', 5 from raw.orders where delivered_at > promised
    union all select order_id, 'canceled', -10 from raw.orders where status = 'canceled' and paid_at is not null
)
select count(expected.order_id) as compared, count(*) filter (where l.points is distinct from expected.points) as different
from loyalty.ledger l full join expected using (order_id, entry_type)
