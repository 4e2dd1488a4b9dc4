-- Records that the recovery $1 is done, closes what relays had refused when it was begun, wakes the relays that wait, and lets
-- those streams go on that a relay had set aside since their marks had this database's name from elsewhere: by now all have it from here.
with moved as materialized (
    select s.topic, s.slot
    from outbox.recovery r cross join lateral jsonb_to_recordset(r.found -> 'streams') s (topic text, slot integer, mark jsonb)
    where r.number = $1::bigint and r.state = 'opened' and s.slot is not null and s.mark ->> 'is' = 'moved'
), resumed as (
    insert into outbox.stream_action (topic, partition, action, batch_number, position, reason)
    select moved.topic, moved.slot, 'resume', (select max(b.number) from outbox.batch b), 0, format('recovery %s: the stream is of this database', $1::bigint)
    from moved
    where (select latest.action from outbox.stream_action latest
           where latest.topic = moved.topic and latest.partition = moved.slot order by latest.number desc limit 1) = 'set_aside'
), woken as materialized (
    select pg_notify('outbox_lease', '')
), closed as (
    update outbox.refusal f set closed_at = clock_timestamp(), recovery = r.number
    from outbox.recovery r
    where r.number = $1::bigint and f.closed_at is null and f.number <= (r.found ->> 'refused_through')::bigint
)
update outbox.recovery r set state = 'done', done_at = clock_timestamp() from woken where r.number = $1::bigint and r.state = 'opened'
returning r.number
