-- Whether there is anything to cut: what cut_batch.sql would find in the same snapshot, without what it costs to lay a batch out.
-- $1 xmax of the snapshot of the batch before, $2 its open transactions, $3 floor of the era.
-- Positions are compared so that only the index on transactions can be used.
select exists (select from outbox.log l where l.transaction_id >= $1::text::xid8 and l.position + 0 > $3::bigint)
    or exists (select from outbox.log l where l.transaction_id = any($2::text[]::xid8[]) and l.position + 0 > $3::bigint) as has_arrived
