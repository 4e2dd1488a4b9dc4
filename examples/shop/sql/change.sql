-- The next step of an order that this transaction holds. $1 id, $2 step, $3 state.
with changed as (
    update shop.orders set state = $3, step = $2, changed_at = clock_timestamp() where id = $1 returning id
)
insert into shop.order_changes (order_id, step, state) select id, $2, $3 from changed
