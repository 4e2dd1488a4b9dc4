-- Which generation of a projection is live, and its newest rebuild that has not ended, or was cancelled and has its checkpoints still,
-- and whether the schema that it fills ($2) was made for it.
select p.kind, p.generation, r.number, r.state, r.generation as next, r.accept_differences,
       exists (select from pg_catalog.pg_namespace n
               where n.nspname = $2::text
                 and obj_description(n.oid, 'pg_namespace') = 'outbox projection ' || p.name || ' generation ' || r.generation) as has_schema
from outbox.projection p
left join lateral (
    select r.* from outbox.projection_rebuild r
    where r.projection = p.name
      and (r.state in ('ordered', 'building', 'held')
           or r.state = 'cancelled' and exists (select from outbox.subscription s where s.name = r.projection and s.generation = r.generation))
    order by r.number
    limit 1
) r on true
where p.name = $1::text
