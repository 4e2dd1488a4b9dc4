-- Whether a schema ($1) is there, for which generation of the projection ($2) it was made (null: it is somebody else's), and whether that
-- generation ($3) of its subscription has events behind it, or the projection is from before schemas said whose they are (which came with step
-- 0024): an inline one has no checkpoint that tells.
select n.oid is not null as has_schema,
       (regexp_match(obj_description(n.oid, 'pg_namespace'), '^outbox projection ' || $2::text || ' generation ([0-9]{1,9})$'))[1]::integer as made_for,
       exists (select from outbox.subscription_checkpoint c where c.subscription = $2::text and c.generation = $3::integer and c.events > 0)
       or $1::text = $2::text and exists (
           select from outbox.projection p join outbox.log_migration m on m.version = 24
           where p.name = $2::text and p.created_at < m.installed_on) as has_events
from (select) one
left join pg_catalog.pg_namespace n on n.nspname = $1::text
