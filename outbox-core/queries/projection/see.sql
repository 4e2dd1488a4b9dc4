-- Which generation of a projection is live, and its newest rebuild that has not ended, or was cancelled and has its checkpoints still,
-- and whether the schema that is filled ($2) is there.
select p.kind, p.generation, r.number, r.state, r.generation as next, r.accept_differences,
       to_regnamespace($2::text) is not null as has_schema
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
