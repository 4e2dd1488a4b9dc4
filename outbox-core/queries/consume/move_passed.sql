-- Moves only inside the transaction that was begun for it, and answers whether it is: its local mark ends with it. What the
-- handlers did is over: from here on the commit is ours.
with here as materialized (
    select current_setting('outbox.applying', true) is not distinct from 'on' as whole
), moved as (
    insert into outbox.consumer_stream as known (consumer, stream, passed_batch, passed_position)
    select $1, $2, $3::numeric, $4::numeric
    from here where here.whole
    on conflict (consumer, stream) do update
    set passed_batch = excluded.passed_batch,
        passed_position = excluded.passed_position,
        moved_at = clock_timestamp()
    where (excluded.passed_batch, excluded.passed_position) > (known.passed_batch, known.passed_position)
)
select here.whole and set_config('outbox.applying', 'done', true) = 'done',
       -- An entry is acknowledged after the commit, whatever a handler set for it.
       case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', true) end
from here
