-- One entry of the ledger and its effect on the account. $1 order, $2 step, $3 customer, $4 points; without points, what
-- the order brought before is taken back.
with entered as (
    insert into loyalty.ledger (order_id, step, customer, points)
    values ($1, $2, $3, coalesce($4, (select -coalesce(sum(points), 0) from loyalty.ledger where order_id = $1)))
    returning customer, points
)
insert into loyalty.accounts as account (customer, points) select customer, points from entered
on conflict (customer) do update set points = account.points + excluded.points
