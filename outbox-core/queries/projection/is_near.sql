-- Whether a generation has at most $3 events before it, how many streams of it wait, and whether a person paused it.
select backlog.events <= $3::bigint as is_near,
       (select count(*) from outbox.parked_stream p where p.subscription = $1::text and p.generation = $2::integer) as waiting,
       exists (select from outbox.subscription s where s.name = $1::text and s.generation = $2::integer and s.paused_at is not null) as is_paused
from outbox.subscription_backlog($1::text, $2::integer) backlog
