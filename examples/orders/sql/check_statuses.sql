-- Where each order is.
select count(o.order_id) as compared, count(*) filter (where s.status is distinct from o.status) as different
from order_statuses.orders s full join raw.orders o using (order_id)
