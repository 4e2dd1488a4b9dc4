-- In the order of the lanes, which is the order the locks have.
insert into outbox.parked_lane as known (consumer, flow, lane, state, stream, due_at)
select $1, $2, given.lane, given.state, $3,
       case when given.state in ('retrying', 'draining') then clock_timestamp() + given.pause * interval '1 millisecond'
            else 'infinity' end
from unnest($4::text[], $5::text[], $6::float8[]) given (lane, state, pause)
order by given.lane
on conflict (consumer, flow, lane) do update
set state = excluded.state,
    due_at = excluded.due_at,
    stream = excluded.stream,
    changed_at = clock_timestamp()
