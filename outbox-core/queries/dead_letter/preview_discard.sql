-- What discarding would give up, and what would go on behind it.
select row_to_json(shown)::text
from (
    select letter.consumer,
           count(*) as letters,
           count(distinct (letter.topic, letter.key)) filter (where letter.key is not null) as keys,
           coalesce(sum(letter.waiting_events), 0)::bigint as followers,
           min(letter.dead_at) as first_dead_at,
           max(letter.dead_at) as last_dead_at
    from outbox.select_dead_letters($1::text::jsonb) chosen (number)
    join outbox_ops.dead_letters letter on letter.number = chosen.number
    group by letter.consumer
    order by letter.consumer
) shown
