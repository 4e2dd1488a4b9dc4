-- The tables of two schemas, and in which of them each is.
select c.relname as name, bool_or(n.nspname = $1::text) as in_live, bool_or(n.nspname = $2::text) as in_next
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname in ($1::text, $2::text) and c.relkind in ('r', 'p') and not c.relispartition
group by c.relname
order by c.relname
