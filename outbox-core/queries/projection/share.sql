-- Which of these projections ($1) are applied inline, held against a switch until the transaction ends: by a lock in whose queue nobody is
-- overtaken, as with a row's lock a switch would be, by every next writer.
select p.name, count(pg_advisory_xact_lock_shared(1868722547, hashtext(p.name))) as held
from outbox.projection p
where p.name = any($1::text[]) and p.kind = 'inline'
group by p.name
