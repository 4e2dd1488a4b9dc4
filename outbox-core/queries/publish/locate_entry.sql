-- Where an entry of a stream stands in the ledger, and how the rows behind it are told (outbox.locate_entry). $1 topic and $2 slot of the
-- stream, $3 and $4 the id; 0-0 stands before the first. No number: the ledger has no such entry. Then the oldest batch that it still
-- has says whether it may have had it.
select oldest.batch_id as oldest_batch_id, oldest.cut_at::text as oldest_cut_at, found.number, found.base::text as base, found.base_number,
       coalesce(found.passed_snapshots, '{}')::text[] as passed_snapshots, coalesce(found.passed_positions, '{}') as passed_positions,
       found.accepted_in
from (select o.batch_id, o.cut_at from outbox.batch o order by o.number limit 1) oldest
cross join lateral outbox.locate_entry($1::text, $2::integer, $3::bigint, $4::bigint) found
