-- What a recovery goes by besides the end of the ledger: the sequence, rows that no batch holds (counted up to 100,000), the
-- timelines, and the clock. The file's name has the timeline at once, the control file later.
with head as (
    select b.snapshot, e.position_floor as floor, e.timeline, e.opened_at
    from (select o.snapshot from outbox.batch o order by o.number desc limit 1) b,
         (select o.* from outbox.era o order by o.era desc limit 1) e
), cut_to as (
    select greatest(max(b.last_position), (select floor from head)) as last_position from outbox.batch b where b.kind = 'cut'
), uncut as (
    (select from head, outbox.log l
     where l.transaction_id >= pg_snapshot_xmax(head.snapshot) and l.position > head.floor limit 100000)
    union all
    (select from head, pg_snapshot_xip(head.snapshot) late, outbox.log l where l.transaction_id = late and l.position > head.floor limit 100000)
    union all
    (select from head, cut_to, outbox.log l
     where l.position > cut_to.last_position and pg_visible_in_snapshot(l.transaction_id, head.snapshot) limit 100000)
)
select (select s.last_value from outbox.log_position s) as sequence,
       (select count(*) from uncut) as uncut,
       head.timeline as timeline_then,
       case when not pg_is_in_recovery() then
           ('x' || substring(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::integer end as timeline_now,
       (extract(epoch from clock_timestamp()) * 1000)::bigint as clock_ms
from head
