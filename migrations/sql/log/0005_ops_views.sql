-- The operators' views: public, without payloads, cheap however long the log and the backlog are.
-- They read the ledger and the end of the log, never what is published already. What comes after the last batch is
-- looked at up to 10,000 rows; beyond that the numbers say that they are estimates.

create view outbox_ops.topics as
    select topic.name as topic,
           slot.partition,
           topic.retention,
           class.keep,
           topic.created_at as seen_since,
           coalesce(stopped.action, 'moving') as state,
           stopped.acted_at as stopped_since,
           stopped.reason,
           stopped.event_id,
           passed.batch_number as passed_batch,
           passed.position as passed_position,
           case when passed.chain_batch_id > 0 then passed.chain_batch_id || '-' || passed.chain_position end as last_entry,
           passed.recorded_at as passed_at
    from outbox.topic topic
    join outbox.retention_class class on class.name = topic.retention
    cross join lateral generate_series(0, topic.partitions - 1) slot (partition)
    left join lateral (select * from outbox.stream_action a where a.topic = topic.name and a.partition = slot.partition
                       order by a.number desc limit 1) latest on true
    left join lateral (select latest.* where latest.action in ('set_aside', 'blocked')) stopped on true
    left join lateral (select * from outbox.progress p where p.topic = topic.name and p.partition = slot.partition
                       order by p.batch_number desc, p.position desc limit 1) passed on true;
comment on view outbox_ops.topics is 'One row per stream: how long its events are kept, how far it was published, and whether it waits for a person.';
comment on column outbox_ops.topics.topic is 'Topic.';
comment on column outbox_ops.topics.partition is 'Partition of the topic; 0 where it has one.';
comment on column outbox_ops.topics.retention is 'Retention class.';
comment on column outbox_ops.topics.keep is 'How long events of the class are kept; null for ever.';
comment on column outbox_ops.topics.seen_since is 'When the relay saw the topic first, or a person set it up.';
comment on column outbox_ops.topics.state is '`moving`; `blocked`: the sink does not take this stream now (wrong type, no permission), and the relay tries again; `set_aside`: it waits at one event for `outbox-relay topic resume` or `topic skip-event`.';
comment on column outbox_ops.topics.stopped_since is 'Since when it does not move.';
comment on column outbox_ops.topics.reason is 'Why it does not move.';
comment on column outbox_ops.topics.event_id is 'The event at which a stream that is set aside waits.';
comment on column outbox_ops.topics.passed_batch is 'Number of the batch through which it was published, wholly or up to passed_position.';
comment on column outbox_ops.topics.passed_position is 'Position in the log of the event published last.';
comment on column outbox_ops.topics.last_entry is 'Id of its last entry on the stream.';
comment on column outbox_ops.topics.passed_at is 'When that was recorded.';

-- A function, since it needs settings of its own: the planner cannot know how little is beyond the last batch, so without
-- them it reads the whole log where statistics are missing, and compiles a plan that takes milliseconds to run.
create function outbox.backlog() returns table (topic text, partition integer, events bigint, exact boolean, oldest_recorded_at timestamptz)
language sql stable security definer cost 1000 rows 20
set search_path = pg_catalog, pg_temp set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
    -- Rows that no batch holds yet: the two arms of the tail against the newest snapshot of the ledger.
    with head as (
        select snapshot from outbox.batch order by number desc limit 1
    ), fresh as (
        select new.topic, new.recorded_at
        from head, lateral (select l.topic, l.recorded_at from outbox.log l
                            where l.transaction_id >= pg_snapshot_xmax(head.snapshot) order by l.transaction_id, l.position limit 10000) new
        union all
        select late.topic, late.recorded_at
        from head, pg_snapshot_xip(head.snapshot) open_then,
             lateral (select l.topic, l.recorded_at from outbox.log l
                      where l.transaction_id = open_then order by l.position limit 10000) late
    ), uncut as (
        select fresh.topic, 0 as partition, count(*) as events, min(fresh.recorded_at) as oldest from fresh group by fresh.topic
    ), cut as (
        select t.topic, t.partition, sum(pending.events)::bigint as events, min(pending.recorded_at) as oldest,
               bool_and(pending.whole) as whole
        from outbox_ops.topics t,
             lateral (
                select s.event_count as events,
                       (select l.recorded_at from outbox.log l where l.topic = t.topic and l.position = s.first_position) as recorded_at,
                       true as whole
                from outbox.share s
                where s.topic = t.topic and s.partition = t.partition and s.batch_number > coalesce(t.passed_batch, -1)
                union all
                -- The share in progress: what is left of it by position.
                select ceil(s.event_count * (s.last_position - t.passed_position)::numeric / (s.last_position - s.first_position + 1)),
                       (select l.recorded_at from outbox.log l where l.topic = t.topic and l.position = t.passed_position),
                       false
                from outbox.share s
                where s.topic = t.topic and s.partition = t.partition and s.batch_number = t.passed_batch
                  and s.last_position > t.passed_position) pending
        group by t.topic, t.partition
    )
    select topic,
           partition,
           coalesce(cut.events, 0) + coalesce(uncut.events, 0),
           coalesce(cut.whole, true) and (select count(*) from fresh) < 10000,
           least(cut.oldest, uncut.oldest)
    from cut full join uncut using (topic, partition)
$$;
alter function outbox.backlog owner to outbox_maintainer;
revoke execute on function outbox.backlog from public;
grant execute on function outbox.backlog to outbox_observer, outbox_relay;

create view outbox_ops.backlog as
    select topic, partition, events, exact, oldest_recorded_at, clock_timestamp() - oldest_recorded_at as oldest_age
    from outbox.backlog();
comment on view outbox_ops.backlog is 'Streams that have events to publish, cut into batches or not; a stream without any has no row.';
comment on column outbox_ops.backlog.topic is 'Topic.';
comment on column outbox_ops.backlog.partition is 'Partition of the topic; 0 where it has one.';
comment on column outbox_ops.backlog.events is 'Committed events that are not on the stream yet.';
comment on column outbox_ops.backlog.exact is 'False when events is an estimate: a share is half published, or more than 10,000 events are in no batch yet and it is a lower bound.';
comment on column outbox_ops.backlog.oldest_recorded_at is 'When the oldest of them was appended; for a share half published, when its last published event was.';
comment on column outbox_ops.backlog.oldest_age is 'How long ago that was.';

create view outbox_ops.batches as
    select number, batch_id, kind, era, epoch, event_count, first_position, last_position, cut_at
    from outbox.batch where number > 0 order by number desc limit 1000;
comment on view outbox_ops.batches is 'The newest thousand batches, newest first.';
comment on column outbox_ops.batches.number is 'Place in the chain, without gaps.';
comment on column outbox_ops.batches.batch_id is 'First part of the ids of its entries on the streams.';
comment on column outbox_ops.batches.kind is '`cut` from the log, or `reissue`.';
comment on column outbox_ops.batches.era is 'Stretch of history of one physical database.';
comment on column outbox_ops.batches.epoch is 'Epoch of the leader that cut it.';
comment on column outbox_ops.batches.event_count is 'Events in it.';
comment on column outbox_ops.batches.first_position is 'Lowest position in it.';
comment on column outbox_ops.batches.last_position is 'Highest position in it; positions between the two may belong to other batches.';
comment on column outbox_ops.batches.cut_at is 'When it was cut.';

create view outbox_ops.relays as
    select relay.instance, relay.host, relay.process_id, relay.version, relay.started_at, relay.seen_at,
           relay.seen_at > clock_timestamp() - interval '30 seconds' as live,
           relay.state, relay.reason,
           coalesce((select array_agg(l.name order by l.name) from outbox.lease l
                     where l.holder = relay.instance and l.expires_at > clock_timestamp()), '{}') as leases
    from outbox.relay relay;
comment on view outbox_ops.relays is 'Relay processes that were seen, leading or standing by.';
comment on column outbox_ops.relays.instance is 'Name of the process.';
comment on column outbox_ops.relays.host is 'Host it runs on.';
comment on column outbox_ops.relays.process_id is 'Its process id there.';
comment on column outbox_ops.relays.version is 'Its version.';
comment on column outbox_ops.relays.started_at is 'When it started.';
comment on column outbox_ops.relays.seen_at is 'When it last wrote here.';
comment on column outbox_ops.relays.live is 'Whether that was within 30 seconds.';
comment on column outbox_ops.relays.state is 'starting, standby, leading, waiting (cannot move anything for now) or refused (a person must decide).';
comment on column outbox_ops.relays.reason is 'Why it waits or refuses.';
comment on column outbox_ops.relays.leases is 'Rights it holds at this moment: tail, publish.';

-- A function, so that the view needs no right of its own to see other sessions: whoever has that right sees their statements
-- too, payloads included.
create function outbox.waiting_transactions() returns table (
    pid integer, kind text, user_name text, application text, state text, started_at timestamptz, age interval,
    query_started_at timestamptz, waits_for text, prepared_name text, holds_back text[]
)
language sql stable security definer rows 20 set search_path = pg_catalog, pg_temp set jit = off as $$
    with log_relation as (
        select relid from pg_catalog.pg_partition_tree('outbox.log')
    ), held as (
        select l.pid, l.virtualtransaction,
               bool_or(l.locktype = 'relation' and l.mode = 'RowExclusiveLock') as appends,
               bool_or(l.locktype = 'advisory') as sleep
        from pg_catalog.pg_locks l
        where l.granted and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
          and (l.locktype = 'relation' and l.relation in (select relid from log_relation)
               or l.locktype = 'advisory' and l.mode = 'ShareLock' and l.objsubid = 1
                  and (l.classid::bigint << 32 | l.objid::bigint) = 122550254464888)
        group by l.pid, l.virtualtransaction
    ), transaction as (
        select held.*, 'transaction' as kind, a.usename::text as user_name, a.application_name as application,
               a.xact_start as started_at, a.state, a.query_start as query_started_at,
               nullif(concat_ws(': ', a.wait_event_type, a.wait_event), '') as waits_for, null::text as prepared_name
        from held join pg_catalog.pg_stat_activity a on a.pid = held.pid
        where held.pid <> pg_backend_pid()
        union all
        select held.*, 'prepared', p.owner::text, null, p.prepared, 'prepared', null, null, p.gid
        from held
        -- Its locks go by the virtual transaction it had, or none after a restart; the lock on its own id says which it is.
        join pg_catalog.pg_locks own on own.pid is null and own.virtualtransaction = held.virtualtransaction
                                    and own.locktype = 'transactionid' and own.mode = 'ExclusiveLock'
        join pg_catalog.pg_prepared_xacts p on p.transaction = own.transactionid
        where held.pid is null
    )
    select pid, kind, user_name, application, state, started_at, clock_timestamp() - started_at as age, query_started_at,
           waits_for, prepared_name,
           array_remove(array[case when appends then 'appends' end, case when sleep then 'sleep' end,
                              case when started_at < clock_timestamp() - interval '1 minute' then 'retention' end], null) as holds_back
    from transaction
$$;
alter function outbox.waiting_transactions owner to outbox_maintainer;
revoke execute on function outbox.waiting_transactions from public;
grant execute on function outbox.waiting_transactions to outbox_observer, outbox_relay;

create view outbox_ops.waiting_transactions as
    select pid, kind, user_name, application, state, started_at, age, query_started_at, waits_for, prepared_name, holds_back
    from outbox.waiting_transactions();
comment on view outbox_ops.waiting_transactions is 'Open transactions of this database that touched the log, and what each holds back: only its own events, never those of others.';
comment on column outbox_ops.waiting_transactions.pid is 'Process of the server; null for a prepared transaction.';
comment on column outbox_ops.waiting_transactions.kind is '`transaction` or `prepared` (two-phase commit).';
comment on column outbox_ops.waiting_transactions.user_name is 'Its user.';
comment on column outbox_ops.waiting_transactions.application is 'What its application calls itself.';
comment on column outbox_ops.waiting_transactions.state is 'State of its session: active, idle in transaction, prepared, …';
comment on column outbox_ops.waiting_transactions.started_at is 'When it began.';
comment on column outbox_ops.waiting_transactions.age is 'How long ago that was.';
comment on column outbox_ops.waiting_transactions.query_started_at is 'When its last statement began. Its text is not shown: it may hold data.';
comment on column outbox_ops.waiting_transactions.waits_for is 'What it waits for in the server.';
comment on column outbox_ops.waiting_transactions.prepared_name is 'The name to commit or roll it back by.';
comment on column outbox_ops.waiting_transactions.holds_back is 'appends: events of its own; sleep: the relay polls instead of sleeping; retention: for more than a minute it may keep a piece of the log from being dropped.';

-- A function, so that it can leave jit off: compiling the plan took a hundred times as long as running it.
create function outbox.summary() returns table (
    as_of timestamptz, verdict text, reason text, backlog bigint, backlog_exact boolean, oldest_unpublished_age interval,
    leader text, epoch bigint, lease_expires_at timestamptz, live_relays bigint, topics_set_aside bigint, topics_blocked bigint,
    last_batch bigint, last_batch_events bigint, last_batch_at timestamptz, events_skipped bigint, notification_queue_usage double precision)
language sql stable security definer rows 1
set search_path = pg_catalog, pg_temp set jit = off as $$
    with tail as (
        select *, expires_at > clock_timestamp() as valid from outbox.lease where name = 'tail'
    ), leader as (
        select r.instance, r.state, r.reason from outbox.relay r join tail on tail.holder = r.instance and tail.valid
    ), last_batch as (
        select * from outbox.batch where number > 0 order by number desc limit 1
    ), backlog as (
        select coalesce(sum(events), 0)::bigint as events, coalesce(bool_and(exact), true) as exact, max(oldest_age) as oldest_age
        from outbox_ops.backlog
    ), aside as (
        select count(*) filter (where state = 'set_aside') as topics, count(*) filter (where state = 'blocked') as blocked,
               min(topic) filter (where state = 'set_aside') as first, min(topic) filter (where state = 'blocked') as first_blocked
        from outbox_ops.topics
    ), refused as (
        -- A relay that refuses gives the lease back between its looks.
        select r.reason from outbox.relay r
        where r.state = 'refused' and r.seen_at > clock_timestamp() - interval '30 seconds' order by r.seen_at desc limit 1
    ), judged as (
        select case
            when not tail.valid and refused.reason is not null then array['stalled', refused.reason]
            when not tail.valid and backlog.events > 0 then array['stalled', format('no relay holds the lease and %s events wait: start outbox-relay run', backlog.events)]
            when not tail.valid then array['degraded', 'no relay holds the lease: the next events will wait; start outbox-relay run']
            when leader.state in ('waiting', 'refused') then array['stalled', coalesce(leader.reason, format('the leading relay is %s', leader.state))]
            when aside.topics > 0 then array['degraded', format('%s stream(s) wait for a person, the first is %s: see outbox_ops.topics', aside.topics, aside.first)]
            when aside.blocked > 0 then array['degraded', format('%s stream(s) are not taken by the sink, the first is %s: see outbox_ops.topics', aside.blocked, aside.first_blocked)]
            when backlog.oldest_age > interval '1 minute' then array['degraded', format('the oldest event waits for %s', date_trunc('second', backlog.oldest_age))]
            else array['ok', null] end as words
        from tail cross join backlog cross join aside left join leader on true left join refused on true
    )
    select clock_timestamp() as as_of,
           judged.words[1] as verdict,
           judged.words[2] as reason,
           backlog.events as backlog,
           backlog.exact as backlog_exact,
           backlog.oldest_age as oldest_unpublished_age,
           case when tail.valid then tail.holder end as leader,
           tail.epoch,
           nullif(tail.expires_at, '-infinity') as lease_expires_at,
           (select count(*) from outbox_ops.relays where live) as live_relays,
           aside.topics as topics_set_aside,
           aside.blocked as topics_blocked,
           last_batch.number as last_batch,
           last_batch.event_count as last_batch_events,
           last_batch.cut_at as last_batch_at,
           (select count(*) from outbox.unpublished) as events_skipped,
           pg_notification_queue_usage() as notification_queue_usage
    from judged cross join tail cross join backlog cross join aside left join last_batch on true
$$;
alter function outbox.summary owner to outbox_maintainer;
revoke execute on function outbox.summary from public;
grant execute on function outbox.summary to outbox_observer, outbox_relay;

create view outbox_ops.summary as
    select * from outbox.summary();
comment on view outbox_ops.summary is 'One row: does work move, and if not, why.';
comment on column outbox_ops.summary.as_of is 'When this was read.';
comment on column outbox_ops.summary.verdict is 'ok; degraded: some of it waits or would; stalled: nothing moves.';
comment on column outbox_ops.summary.reason is 'Why it is not ok, and what to do.';
comment on column outbox_ops.summary.backlog is 'Committed events that are not on their streams yet.';
comment on column outbox_ops.summary.backlog_exact is 'False when backlog is an estimate or a lower bound; see outbox_ops.backlog.';
comment on column outbox_ops.summary.oldest_unpublished_age is 'How long the oldest of them has waited.';
comment on column outbox_ops.summary.leader is 'Relay that cuts batches; null when none does.';
comment on column outbox_ops.summary.epoch is 'Rises with each change of leader.';
comment on column outbox_ops.summary.lease_expires_at is 'Until when the last leader leads, or led, if it does not renew.';
comment on column outbox_ops.summary.live_relays is 'Relays seen within 30 seconds, leading or standing by.';
comment on column outbox_ops.summary.topics_set_aside is 'Streams that wait for a person.';
comment on column outbox_ops.summary.topics_blocked is 'Streams that the sink does not take now.';
comment on column outbox_ops.summary.last_batch is 'Number of the newest batch.';
comment on column outbox_ops.summary.last_batch_events is 'Events in it.';
comment on column outbox_ops.summary.last_batch_at is 'When it was cut.';
comment on column outbox_ops.summary.events_skipped is 'Events given up by hand, kept in outbox.unpublished.';
comment on column outbox_ops.summary.notification_queue_usage is 'How full the notification queue of the cluster is, 0 to 1; from 0.5 on the doorbell is silent.';

do $$
declare
    made text;
begin
    -- Which version the schema has is no secret, and a relay or a check that may not migrate must know it.
    if to_regclass('outbox.log_migration') is not null then
        grant select on outbox.log_migration to outbox_producer, outbox_relay, outbox_maintainer, outbox_observer;
    end if;
    foreach made in array array['topics', 'backlog', 'batches', 'relays', 'waiting_transactions', 'summary'] loop
        execute format('alter view outbox_ops.%I owner to outbox_maintainer', made);
        execute format('grant select on outbox_ops.%I to outbox_observer, outbox_relay', made);
    end loop;
end
$$;
