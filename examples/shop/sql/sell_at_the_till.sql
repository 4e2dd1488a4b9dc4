-- A sale at the till: rows and event in one statement of plain SQL, no library. $1 id.
with sold as (
    insert into shop.orders (id, customer, state, step, total_cents) values ($1, 0, 'placed', 1, 450)
    returning id, customer, state, step, total_cents
), line as (
    insert into shop.order_lines (order_id, line, sku, quantity, cents) select id, 1, 'tea', 1, 450 from sold
    returning sku, quantity, cents
), change as (
    insert into shop.order_changes (order_id, step, state) select id, step, state from sold
)
select outbox.append(
    topic => 'orders',
    data => json_build_object('order', sold.id, 'step', sold.step, 'state', sold.state, 'customer', sold.customer,
                              'lines', json_build_array(row_to_json(line)), 'total_cents', sold.total_cents),
    key => sold.id::text,
    type => 'orders.placed',
    source => '/shop/till')
from sold, line
