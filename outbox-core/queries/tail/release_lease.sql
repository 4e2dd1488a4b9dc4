-- Gives back the rights named in $1 that instance $2 holds, and wakes the standby.
with released as (
    update outbox.lease set expires_at = clock_timestamp()
    where name = any($1::text[]) and holder = $2::text and expires_at > clock_timestamp()
    returning name
)
select pg_notify('outbox_lease', '') from released limit 1
