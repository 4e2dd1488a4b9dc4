-- The goods of an order. $1 id.
select sku, quantity, cents from shop.order_lines where order_id = $1 order by line
