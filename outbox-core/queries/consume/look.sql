-- Everything a member says and asks, in one statement: that it lives ($11), that its leases go on ($12), who else is there, who
-- applies what, what waits. Waits for no row: a lease that somebody locked is renewed by the next look.
with mine as (
    select held.stream, held.epoch from unnest($3::text[], $4::bigint[]) held (stream, epoch)
), registered as (
    insert into outbox.consumer (name)
    select $1 where $11 and not exists (select from outbox.consumer known where known.name = $1)
    on conflict do nothing
), seen as (
    insert into outbox.consumer_member as known (consumer, member, host, process_id, version, topics, partitions)
    select $1, $2, $5, $6, $7, $8, $9 where $11
    on conflict (consumer, member) do update
    set seen_at = clock_timestamp(),
        started_at = case when known.process_id = excluded.process_id and known.host = excluded.host
                          then known.started_at else clock_timestamp() end,
        host = excluded.host,
        process_id = excluded.process_id,
        version = excluded.version,
        topics = excluded.topics,
        partitions = excluded.partitions
), kept as (
    select lease.consumer, lease.stream
    from mine
    join outbox.consumer_lease lease on lease.consumer = $1 and lease.stream = mine.stream
    where $12 and lease.epoch = mine.epoch and lease.holder is not null
    for no key update of lease skip locked
), renewed as (
    update outbox.consumer_lease lease
    set expires_at = clock_timestamp() + $10 * interval '1 millisecond'
    from kept
    where lease.consumer = kept.consumer and lease.stream = kept.stream
)
select json_build_object(
    'transaction_age', extract(epoch from statement_timestamp() - transaction_timestamp()),
    'leases', coalesce((
        select json_agg(json_build_object(
            'stream', lease.stream, 'epoch', lease.epoch, 'holder', lease.holder,
            'is_held', lease.expires_at > clock_timestamp()
                and lease.expires_at <= clock_timestamp() + greatest(interval '600 seconds', $10 * interval '2 milliseconds')))
        from outbox.consumer_lease lease where lease.consumer = $1), '[]'),
    'members', coalesce((
        select json_agg(json_build_object('name', member.member, 'topics', member.topics, 'partitions', member.partitions))
        from outbox.consumer_member member
        where member.consumer = $1
          -- Seen after now: before the clock was set back. Whoever lives is seen again within a second.
          and member.seen_at between clock_timestamp() - $10 * interval '1 millisecond'
              and clock_timestamp() + $10 * interval '1 millisecond'), '[]'),
    'paused', (
        select json_build_object('since', consumer.paused_at, 'by', consumer.paused_by, 'reason', consumer.paused_reason)
        from outbox.consumer where consumer.name = $1 and consumer.paused_at is not null),
    'redrives', coalesce((
        select json_agg(operation.number order by operation.number)
        from outbox.operation
        where operation.consumer = $1 and operation.state = 'running' and operation.kind = 'redrive'), '[]'),
    'waits', exists (
        select from mine
        join outbox.parked_lane lane on lane.consumer = $1 and lane.stream = mine.stream and lane.due_at < 'infinity'),
    'due', coalesce((
        select json_agg(mine.stream) from mine
        where exists (
            select from outbox.parked_lane lane
            where lane.consumer = $1 and lane.stream = mine.stream and lane.due_at <= clock_timestamp())), '[]')
)::text
