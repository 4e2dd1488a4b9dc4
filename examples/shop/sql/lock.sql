-- The order, held until this transaction ends: whoever changes it next waits, so its events have one order. $1 id.
select customer, state, step, total_cents from shop.orders where id = $1 for update
