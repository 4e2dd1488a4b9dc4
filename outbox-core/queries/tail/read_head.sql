-- The end of the ledger and everything that must agree before a relay may go on from it.
select batch.number, batch.batch_id, batch.snapshot::text as snapshot, era.era, era.position_floor,
       era.system_identifier, system.system_identifier as system_identifier_now, pg_is_in_recovery() as in_recovery,
       pg_snapshot_xmax(pg_current_snapshot())::text as xmax_now, pg_current_snapshot()::text as snapshot_now,
       -- With the database's own number: a copy made by create database … template has the same settings.
       settings.database_id::text || '/' || (select oid from pg_catalog.pg_database where datname = current_database()) as database_id, settings.writer,
       (select oldest.batch_id from outbox.batch oldest order by oldest.number limit 1) as oldest_batch_id,
       refused.number as refusal, refused.code as refusal_code, refused.said as refusal_said,
       to_char(refused.refused_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as refused_at,
       begun.number as recovery, begun.strategy as recovery_strategy,
       -- The newest of what a statement of a relay calls: it is missed now, and not by the first large batch.
       to_regprocedure('outbox.settle_anew()') is not null as is_current
from outbox.batch batch
cross join (select e.era, e.system_identifier, e.position_floor from outbox.era e order by e.era desc limit 1) era
cross join pg_catalog.pg_control_system() system
cross join outbox.settings settings
-- What a relay before refused, and what a person began and did not finish.
left join lateral (select r.number, r.code, r.said, r.refused_at from outbox.refusal r where r.closed_at is null order by r.number limit 1) refused on true
left join lateral (select r.number, r.strategy from outbox.recovery r where r.state in ('begun', 'opened') order by r.number limit 1) begun on true
order by batch.number desc
limit 1
