-- Records that the recovery $1 is done, and wakes the relays that wait.
with woken as materialized (
    select pg_notify('outbox_lease', '')
)
update outbox.recovery r set state = 'done', done_at = clock_timestamp() from woken where r.number = $1::bigint and r.state <> 'done'
returning r.number
