-- Whether a generation has at most $3 events before it, and whether streams of it wait.
select backlog.events <= $3::bigint as is_near,
       (select count(*) from outbox.parked_stream p where p.subscription = $1::text and p.generation = $2::integer) as waiting
from outbox.subscription_backlog($1::text, $2::integer) backlog
