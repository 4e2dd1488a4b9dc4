-- Records, once, that a relay leads on this timeline of the server. The file's name has it at once, the control file only after
-- the next checkpoint. Not on a standby, which has no position to write at.
with now_on as (
    select ('x' || substring(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::integer as timeline
)
insert into outbox.timeline (era, timeline, batch_number)
select era.era, now_on.timeline, last.number
from now_on,
     (select e.era from outbox.era e order by e.era desc limit 1) era,
     (select b.number from outbox.batch b order by b.number desc limit 1) last
where not exists (select from outbox.timeline known where known.era = era.era and known.timeline = now_on.timeline)
on conflict do nothing
returning timeline, (select count(*) from outbox.timeline before where before.era = timeline.era) as earlier
