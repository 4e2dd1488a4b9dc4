-- Whether there is anything to cut: what cut_few.sql would find in the same snapshot, without what it costs to lay a batch out.
-- $1 xmax of the snapshot of the batch before, $2 its open transactions, $3 floor of the era, $4 where pieces that are ahead begin:
-- if more was drawn, cut_few.sql says so.
select coalesce(pg_sequence_last_value('outbox.log_position'::regclass), 0) > $4::bigint
    or exists (select from outbox.log l where l.transaction_id >= $1::text::xid8 and l.position + 0 > $3::bigint and l.position <= $4::bigint)
    or exists (
        select from outbox.log l
        where l.transaction_id = any($2::text[]::xid8[]) and l.position + 0 > $3::bigint and l.position <= $4::bigint
    ) as has_arrived
