-- Columns of table $2 that may be null although those of $1 may not: a migration while it was being detached passed it over.
select theirs.attname::text as name
from pg_catalog.pg_attribute ours
join pg_catalog.pg_attribute theirs on theirs.attname = ours.attname
where ours.attrelid = ('outbox.' || $1::text)::regclass and ours.attnum > 0 and ours.attnotnull
  and theirs.attrelid = ('outbox.' || $2::text)::regclass and not theirs.attnotnull
order by ours.attnum
