-- One of the orders that changed lately and may change again. $1 how many to pass over.
select id from shop.orders where state in ('placed', 'paid') order by changed_at desc offset $1 limit 1
