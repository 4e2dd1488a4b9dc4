-- The end of the ledger and everything that must agree before a relay may go on from it.
select batch.number, batch.batch_id, batch.snapshot::text as snapshot, era.era, era.position_floor,
       era.system_identifier, system.system_identifier as system_identifier_now, pg_is_in_recovery() as in_recovery,
       pg_snapshot_xmax(pg_current_snapshot())::text as xmax_now, pg_current_snapshot()::text as snapshot_now,
       -- With the database's own number: a copy made by create database … template has the same settings.
       settings.database_id::text || '/' || (select oid from pg_catalog.pg_database where datname = current_database()) as database_id, settings.writer,
       (select oldest.batch_id from outbox.batch oldest order by oldest.number limit 1) as oldest_batch_id
from outbox.batch batch
cross join (select e.era, e.system_identifier, e.position_floor from outbox.era e order by e.era desc limit 1) era
cross join pg_catalog.pg_control_system() system
cross join outbox.settings settings
order by batch.number desc
limit 1
