-- Whether a schema ($1) is there, for which generation of the projection ($2) it was made (null: it is somebody else's), and whether that
-- generation ($3) of its subscription has events behind it.
select n.oid is not null as has_schema,
       (regexp_match(obj_description(n.oid, 'pg_namespace'), '^outbox projection ' || $2::text || ' generation ([0-9]{1,9})$'))[1]::integer as made_for,
       exists (select from outbox.subscription_checkpoint c where c.subscription = $2::text and c.generation = $3::integer and c.events > 0) as has_events
from (select) one
left join pg_catalog.pg_namespace n on n.nspname = $1::text
