-- What is named without a schema is looked for in that of a projection ($1) first, until the transaction ends: where its generation ($2)
-- is live, the schema of its name, and else that in which it is built; no row: that is not there, and names would be looked for elsewhere.
-- The lease that the transaction holds keeps a switch waiting.
select set_config('search_path', quote_ident(case when p.generation = $2::integer then p.name else p.name || '_next' end) || ', ' || current_setting('search_path'), true)
from outbox.projection p
where p.name = $1::text
  and (p.generation = $2::integer or exists (select from pg_catalog.pg_namespace n where n.nspname = p.name || '_next'))
