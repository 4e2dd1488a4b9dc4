-- $1 goods, $2 pieces to take of each; negative ones are put back.
update stock.items set on_hand = items.on_hand - taken.pieces
from (select sku, sum(pieces) as pieces from unnest($1::text[], $2::bigint[]) line (sku, pieces) group by sku) taken
where items.sku = taken.sku
