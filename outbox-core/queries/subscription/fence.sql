-- The lease, held until the applying transaction ends: a takeover wants the row for update and waits for that. No row: somebody else
-- has it. With it comes where the partition is. $4 the epoch of this process. From here on the transaction has an id.
select c.era, c.done::text as done, c.done_floor, c.done_through, c.goal::text as goal, c.goal_floor, c.goal_through, c.after_position, c.drawn,
       (select e.position_floor from outbox.era e where e.era = c.era) as era_floor,
       next.era as next_era, next.position_floor as next_floor,
       s.paused_at is not null as is_paused, pg_current_xact_id()::text as own_transaction
from outbox.subscription_lease l
join outbox.subscription s on s.name = l.subscription and s.generation = l.generation
join outbox.subscription_checkpoint c on c.subscription = l.subscription and c.generation = l.generation and c.partition = l.partition
left join lateral (select e.era, e.position_floor from outbox.era e where e.era > c.era order by e.era limit 1) next on true
where l.subscription = $1::text and l.generation = $2::integer and l.partition = $3::integer and l.epoch = $4::bigint
  and l.expires_at > clock_timestamp()
for key share of l
