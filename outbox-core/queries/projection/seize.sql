-- Takes all partitions of a generation, whoever has them: waits for what is being committed, and what they do afterwards is fenced. An
-- update alone would not wait for who holds the row for key share.
with held as (
    select l.partition from outbox.subscription_lease l
    where l.subscription = $1::text and l.generation = $2::integer
    order by l.partition
    for update
)
update outbox.subscription_lease l
set epoch = l.epoch + 1, holder = 'switch ' || pg_backend_pid(), acquired_at = clock_timestamp(), expires_at = clock_timestamp() + interval '1 hour'
from held
where l.subscription = $1::text and l.generation = $2::integer and l.partition = held.partition
returning l.partition, l.epoch
