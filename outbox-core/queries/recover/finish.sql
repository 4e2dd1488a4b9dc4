-- Records that the recovery $1 is done, closes what relays refused before its era was opened, and wakes the relays that wait.
with woken as materialized (
    select pg_notify('outbox_lease', '')
), closed as (
    update outbox.refusal f set closed_at = clock_timestamp(), recovery = r.number
    from outbox.recovery r
    where r.number = $1::bigint and f.closed_at is null and f.refused_at <= r.opened_at
)
update outbox.recovery r set state = 'done', done_at = clock_timestamp() from woken where r.number = $1::bigint and r.state <> 'done'
returning r.number
