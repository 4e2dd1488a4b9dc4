-- Waits for who applies a projection ($1) inline, and keeps the next ones waiting until the transaction ends.
select count(pg_advisory_xact_lock(1868722547, hashtext($1::text)))
