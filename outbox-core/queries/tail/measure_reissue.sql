-- The rows of one stream behind an entry, up to the end of the ledger: how many, from where to where, and whether the log
-- still has all that the ledger cut. $1 topic and $2 slot of the stream, $3 into how many partitions the topic is divided,
-- $4 snapshot in which nothing of it is visible, $5 snapshots of which only rows above the positions $6 belong to it; the last
-- is that of the entry's batch, which has number $7; of a re-issue the last two. $8 is the position of what is missing. Events that
-- a person gave up are in the log and not on the stream. What was removed from the event store counts as there, and is not put out.
with head as materialized (
    select b.number, b.snapshot, (select e.position_floor from outbox.era e order by e.era desc limit 1) as floor
    from outbox.batch b order by b.number desc limit 1
), kept as materialized (
    select b.kind, b.era, b.snapshot, of_era.position_floor as floor, coalesce(next_era.cut_through, 9223372036854775807) as ends,
           cardinality($5::text[]) - case b.kind when 'reissue' then 2 else 1 end as others
    from outbox.batch b
    join outbox.era of_era on of_era.era = b.era
    left join outbox.era next_era on next_era.era = b.era + 1
    where b.number = $7::bigint
    limit 1
), cut as materialized (
    select coalesce(sum(s.event_count) filter (where b.kind = 'cut' and s.batch_number > $7::bigint), 0)::bigint as events,
           -- The share of a re-issue has what was left when it was cut.
           coalesce(sum(s.event_count) filter (where s.batch_number = $7::bigint), 0)::bigint
             + coalesce((select r.removed from outbox.reissue r
                         where r.batch_number = $7::bigint and r.topic = $1::text and r.partition = $2::integer), 0) as own_events,
           min(s.first_position) as lowest, max(s.last_position) as highest
    from outbox.share s
    cross join lateral (select b.kind from outbox.batch b where b.number = s.batch_number limit 1) b
    where s.topic = $1::text and s.partition = $2::integer and s.batch_number >= $7::bigint and s.first_position > 0
), candidate as (
    select l.position, l.transaction_id, l.key, l.id, null::bigint as key_number, null::integer as removed_in, true as is_new
    from cut, head, outbox.log l
    where l.topic = $1::text and l.position between cut.lowest and cut.highest
      and l.transaction_id >= pg_snapshot_xmax($4::text::pg_snapshot)
      -- What was appended before the present era is committed or gone, whatever its transaction ids are.
      and (l.position <= head.floor or pg_visible_in_snapshot(l.transaction_id, head.snapshot))
    union all
    select l.position, l.transaction_id, l.key, l.id, null, null, false
    from cut, pg_snapshot_xip($4::text::pg_snapshot) late, head, outbox.log l
    where l.transaction_id = late and l.topic || '' = $1::text and l.position >= cut.lowest and pg_visible_in_snapshot(l.transaction_id, head.snapshot)
    union all
    -- Wherever it stood: the share of a re-issue begins with what was left.
    select gone.position, r.transaction_id, null, null, r.key_number, r.era, r.transaction_id >= pg_snapshot_xmax($4::text::pg_snapshot)
    from head, outbox.removed r
    cross join lateral generate_series(r.first_position, r.last_position) gone (position)
    where r.topic = $1::text
      -- Whole ranges first: those of before the entry are not taken apart.
      and (r.transaction_id >= pg_snapshot_xmax($4::text::pg_snapshot)
           or r.transaction_id in (select late from pg_snapshot_xip($4::text::pg_snapshot) late))
      and case when r.transaction_id >= pg_snapshot_xmax($4::text::pg_snapshot)
               then gone.position <= head.floor or pg_visible_in_snapshot(r.transaction_id, head.snapshot)
               else r.transaction_id in (select late from pg_snapshot_xip($4::text::pg_snapshot) late)
                    and pg_visible_in_snapshot(r.transaction_id, head.snapshot) end
), placed as (
    -- What is of the entry's own batch, also before the entry: that batch has lost nothing if all of it is there.
    select c.position, c.transaction_id, c.is_new, c.removed_in,
           not (c.position <= kept.floor
                or kept.kind <> 'era' and c.position <= kept.ends and pg_visible_in_snapshot(c.transaction_id, kept.snapshot)) as is_later
    from candidate c, kept
    where ($3::integer <= 1
           or case when c.removed_in is null then outbox.partition_of(coalesce(c.key, c.id::text), $3::integer)
                   else c.key_number % $3::integer end + 1 = $2::integer)
      and not exists (select from unnest($5::text[], $6::bigint[]) with ordinality passed (snapshot, position, place)
                      where passed.place <= kept.others
                        and c.position <= passed.position and pg_visible_in_snapshot(c.transaction_id, passed.snapshot::pg_snapshot))
), found as (
    select p.position, p.is_new, p.is_later, p.removed_in is not null as is_removed,
           exists (select from outbox.unpublished u where u.position = p.position) as is_skipped
    from placed p
    where p.is_later or p.position > ($6::bigint[])[cardinality($6::bigint[])]
), opened as (
    -- Eras that began behind the entry: their shares have what was cut before and not sent, which is counted as that, and what was in no
    -- batch. Of the latter there were as many as the share has but for the former; where all was put out again, as many as there are.
    select sum(case when told.passed_positions = '{0}' then fresh.events
                    else greatest(0, share.event_count - fresh.others) end)::bigint as events
    from outbox.era e
    join outbox.era before on before.era = e.era - 1
    join outbox.share share on share.topic = $1::text and share.partition = $2::integer and share.batch_number = e.batch_number
    join outbox.era_share told on told.topic = $1::text and told.partition = $2::integer and told.batch_number = e.batch_number
    cross join lateral (select b.snapshot from outbox.batch b where b.number = e.batch_number - 1 limit 1) ended
    cross join lateral (
        select count(*) filter (where counted.is_fresh) as events,
               count(*) filter (where not counted.is_fresh
                                and not exists (select from unnest(told.passed_snapshots, told.passed_positions) passed (snapshot, position)
                                                where counted.position <= passed.position
                                                  and pg_visible_in_snapshot(counted.transaction_id, passed.snapshot))
                                and not exists (select from outbox.unpublished u
                                                where u.position = counted.position and u.skipped_at < e.opened_at)
                                and (counted.removed_in is null or counted.removed_in >= e.era)) as others
        from (select p.position, p.transaction_id, p.removed_in,
                     p.position > before.position_floor
                     and (p.position > e.cut_through or not pg_visible_in_snapshot(p.transaction_id, ended.snapshot)) as is_fresh
              from placed p where p.is_later and p.position <= e.position_floor) counted
    ) fresh
    where e.batch_number > $7::bigint
)
select head.number as through,
       pg_current_snapshot()::text as measured_in,
       count(found.position) filter (where not found.is_skipped and not found.is_removed) as event_count,
       count(found.position) filter (where not found.is_skipped and found.is_removed) as removed,
       coalesce(min(found.position) filter (where not found.is_skipped and not found.is_removed), 0) as first_position,
       coalesce(max(found.position) filter (where not found.is_skipped and not found.is_removed), 0) as last_position,
       min(found.position) filter (where found.is_new and not found.is_skipped and not found.is_removed) as first_new_position,
       count(found.position) filter (where found.is_later) as found_later,
       cut.events + coalesce((select opened.events from opened), 0) as cut_later,
       cut.own_events as cut_own,
       -- What an era began with has nothing of what was removed before it.
       (select count(*) from placed, kept
        where not placed.is_later and (kept.kind <> 'era' or placed.removed_in is null or placed.removed_in >= kept.era)) as found_own,
       $8::bigint = 0 or exists (select from outbox.log l where l.topic = $1::text and l.position = $8::bigint)
         or exists (select from outbox.removed r
                    where r.topic = $1::text and $8::bigint between r.first_position and r.last_position) as has_missing
from head cross join cut left join found on true
group by head.number, cut.events, cut.own_events
