-- Orders that a projection ($1) is built anew, because of $2; with $3 it is switched to also where it differs. Returns its number.
select outbox.order_rebuild($1::text, $2::text, $3::boolean)
