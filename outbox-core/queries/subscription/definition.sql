-- What a subscription reads, and whether this database is the one whose transaction ids its checkpoints tell of: that of the newest era.
select s.partitions, s.categories, s.types,
       (select e.system_identifier from outbox.era e order by e.era desc limit 1) = system.system_identifier as is_same_server,
       (select e.era from outbox.era e order by e.era desc limit 1) as era
from outbox.subscription s
cross join pg_catalog.pg_control_system() system
where s.name = $1::text and s.generation = $2::integer
