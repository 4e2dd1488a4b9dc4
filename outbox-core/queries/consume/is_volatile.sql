-- All events of a transaction are handed over by one statement: what is not volatile would not see what it did for those before.
select p.provolatile = 'v' from pg_catalog.pg_proc p where p.oid = to_regprocedure($1)
