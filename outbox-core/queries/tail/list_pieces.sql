-- The pieces of one partitioned table ($1), lowest first.
select name, lower_bound, upper_bound, detach_pending
from outbox.piece
where parent = $1::text
order by lower_bound nulls first
