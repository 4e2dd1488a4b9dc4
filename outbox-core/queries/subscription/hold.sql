-- The lease and the checkpoint of a partition, held until the transaction ends: the checkpoint also against this very process, whose
-- transaction before may be committing still when its answer was lost. What it left is read by the next statement. No row: somebody
-- else has the lease. $4 the epoch of this process.
select l.epoch
from outbox.subscription_lease l
join outbox.subscription_checkpoint c on c.subscription = l.subscription and c.generation = l.generation and c.partition = l.partition
where l.subscription = $1::text and l.generation = $2::integer and l.partition = $3::integer and l.epoch = $4::bigint
for key share of l
for no key update of c
