-- What each customer has.
with expected as (
    select customer_id as customer,
           sum(case when paid_at is not null or status = 'approved' then 10 else 0 end + case when delivered_at > promised then 5 else 0 end
               - case when status = 'canceled' and paid_at is not null then 10 else 0 end) as points
    from raw.orders
    where paid_at is not null or status = 'approved' or delivered_at > promised
    group by 1
)
select count(expected.customer) as compared, count(*) filter (where b.points is distinct from expected.points) as different
from loyalty.balances b full join expected using (customer)
