-- Behind which position nearly everything is new to the next batch, and how far the sequence has come: there count_far.sql may count without
-- an index. Whatever this answers, the batch is the same: cut_batch.sql looks at the rest.
-- The first transactions behind the batch before hold the lowest of the new positions, or nearly. A piece of which more lies below is left to
-- the index, for it would be read as a whole.
-- $1 xmax of the snapshot of the batch before, $2 floor of the era. No position: there is nothing new.
with drawn as materialized (
    select coalesce(pg_sequence_last_value('outbox.log_position'::regclass), 0) as position
), lowest as materialized (
    select min(early.position) as position
    from (
        select l.position from outbox.log l
        where l.transaction_id >= $1::text::xid8 and l.position > $2::bigint
        order by l.transaction_id
        limit 100
    ) early
)
select greatest(lowest.position - 1, (
           select max(coalesce(piece.upper_bound - 1, drawn.position))
           from outbox.piece
           where piece.parent in ('log_standard', 'log_audit') and pg_relation_size(to_regclass('outbox.' || piece.name)) > 0
             and coalesce(piece.lower_bound, 1) <= lowest.position and (piece.upper_bound is null or piece.upper_bound > lowest.position)
             and lowest.position - coalesce(piece.lower_bound, 1) > least(coalesce(piece.upper_bound, drawn.position), drawn.position) - lowest.position
       )) as position, drawn.position as drawn
from lowest, drawn
