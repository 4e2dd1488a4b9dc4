-- An event that no batch has and none will have: the snapshot of the last batch takes it for seen, and it was not there to be cut. Its
-- transaction id was given away a second time: the server went back in time, and has caught up with the ledger meanwhile.
-- Sound by the last thousand rows of the present era: what their last snapshot sees and their first one does not is in one of their
-- batches, and so not above the highest position in these. Looked for among the two thousand rows with the highest ids below the end
-- of that snapshot, by index: whoever appended while the ids caught up has some of these.
with era as (
    select e.batch_number, e.position_floor from outbox.era e order by e.era desc limit 1
), recent as materialized (
    select b.number, b.kind, b.snapshot, b.last_position
    from outbox.batch b
    where b.number >= (select era.batch_number from era)
    order by b.number desc
    limit 1000
), ends as materialized (
    select (select r.snapshot from recent r order by r.number desc limit 1) as last,
           (select r.snapshot from recent r order by r.number limit 1) as first,
           greatest((select max(r.last_position) from recent r where r.kind = 'cut'), (select era.position_floor from era)) as through
)
select late.position, late.transaction_id::text as transaction_id
from ends
cross join lateral (
    select l.position, l.transaction_id
    from outbox.log l
    where l.transaction_id < pg_snapshot_xmax(ends.last)
    order by l.transaction_id desc, l.position desc
    limit 2000
) late
where late.position > ends.through
  and pg_visible_in_snapshot(late.transaction_id, ends.last) and not pg_visible_in_snapshot(late.transaction_id, ends.first)
order by late.position
limit 1
