-- Shows this process to the others. $1 instance, $2 host, $3 process id, $4 version, $5 state, $6 reason.
-- Processes that were not seen for a day are forgotten on the way.
with gone as (
    delete from outbox.relay where seen_at < clock_timestamp() - interval '1 day' and instance <> $1::text
)
insert into outbox.relay as known (instance, host, process_id, version, started_at, seen_at, state, reason)
values ($1::text, $2::text, $3::integer, $4::text, clock_timestamp(), clock_timestamp(), $5::text, nullif($6::text, ''))
on conflict (instance) do update
set seen_at = clock_timestamp(), state = excluded.state, reason = excluded.reason
