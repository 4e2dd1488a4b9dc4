-- A transaction that ends: what has its id from later on has a higher one.
select pg_current_xact_id()::text
