-- Where an entry of a stream stands in the ledger, and how the rows behind it are told: not visible in `base`; and of what
-- is visible in a snapshot of `passed_snapshots`, only what is above the position beside it. For an entry of a re-issue these
-- are the re-issue's own, and one more. $1 topic and $2 slot of the stream, $3 and $4 the id; 0-0 stands before the first.
-- No number: the ledger has no such entry. Then the oldest batch that it still has says whether it may have had it.
select oldest.batch_id as oldest_batch_id, oldest.cut_at::text as oldest_cut_at, found.number,
       found.base::text as base, found.base_number,
       coalesce(earlier.snapshots || found.snapshot, array[found.snapshot])::text[] as passed_snapshots,
       coalesce(earlier.positions || $4::bigint, array[$4::bigint]) as passed_positions
from (select o.batch_id, o.cut_at from outbox.batch o order by o.number limit 1) oldest
left join lateral (
    select b.number, b.snapshot, coalesce(r.base, before.snapshot) as base,
           coalesce(r.base_number, greatest(b.number - 1, 0)) as base_number, r.passed_snapshots, r.passed_positions
    from outbox.batch b
    left join lateral (select p.snapshot from outbox.batch p where p.number = greatest(b.number - 1, 0) limit 1) before on true
    left join outbox.reissue r on r.batch_number = b.number and r.topic = $1::text and r.partition = $2::integer
    where b.batch_id = $3::bigint
      and (b.number = 0
           or exists (select from outbox.share s
                      where s.topic = $1::text and s.partition = $2::integer and s.batch_number = b.number
                        and $4::bigint between s.first_position and s.last_position))
    limit 1
) found on true
-- What is above a lower position of an earlier snapshot follows from being above this one of a later snapshot.
left join lateral (
    select array_agg(e.snapshot order by e.n) as snapshots, array_agg(e.position order by e.n) as positions
    from unnest(found.passed_snapshots, found.passed_positions) with ordinality e (snapshot, position, n)
    where e.position > $4::bigint
) earlier on true
