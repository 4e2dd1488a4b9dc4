-- A new order. $1 id, $2 customer, $3 total in cents, $4 goods, $5 quantities, $6 prices.
with placed as (
    insert into shop.orders (id, customer, state, step, total_cents) values ($1, $2, 'placed', 1, $3) returning id
), lines as (
    insert into shop.order_lines (order_id, line, sku, quantity, cents)
    select placed.id, item.line, item.sku, item.quantity, item.cents
    from placed, unnest($4::text[], $5::integer[], $6::bigint[]) with ordinality item (sku, quantity, cents, line)
)
insert into shop.order_changes (order_id, step, state) select id, 1, 'placed' from placed
