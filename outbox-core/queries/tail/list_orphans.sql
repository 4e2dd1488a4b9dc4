-- Tables that look like pieces of $1 and are attached to nothing: an upkeep step was interrupted.
select orphan.relname::text as name, substring(orphan.relname from '_from_([0-9]+)$')::bigint as lower_bound
from pg_catalog.pg_class orphan
where orphan.relnamespace = 'outbox'::regnamespace and orphan.relkind = 'r' and not orphan.relispartition
  and orphan.relname ~ ('^' || $1::text || '_from_[0-9]+$')
order by 2
