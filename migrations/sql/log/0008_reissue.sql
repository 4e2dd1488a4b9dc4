-- Repairing a stream that lost entries: what groups miss, and the re-issues that bring it back.
-- A re-issue is a row of the ledger with one wide share: everything of one stream behind the last entry that was kept.

create table outbox.reissue (
    batch_number bigint primary key,
    topic text not null,
    partition integer not null,
    -- The entry that the first one re-issued names as its predecessor, and the batch that it is of. It was in its place when
    -- this was cut: no re-issue before had taken it out.
    kept_batch_id bigint not null,
    kept_position bigint not null,
    kept_number bigint not null check (kept_number < batch_number),
    -- The rows: visible in the snapshot of the batch and not in this one; and of what is visible in one of the snapshots of
    -- `passed_snapshots`, only what is above the position beside it.
    base pg_snapshot not null,
    -- The batch whose snapshot that is: until the re-issue is published, no piece of the log behind it may go.
    base_number bigint not null check (base_number <= kept_number),
    passed_snapshots pg_snapshot[] not null,
    passed_positions bigint[] not null,
    missing text not null,
    asked_by text not null,
    cut_at timestamptz not null default clock_timestamp(),
    check (cardinality(passed_snapshots) = cardinality(passed_positions))
);
create index reissue_of_stream on outbox.reissue (topic, partition, batch_number);
comment on table outbox.reissue is 'One row per re-issue: which entry of which stream was kept, and which rows of the log its share has. Append-only.';
create trigger append_only before update or delete on outbox.reissue for each row execute function outbox.refuse_change();

-- What groups ask for, as the leader last read it at the sink, and what became of it. Gone when the group has what it missed.
create table outbox.hole (
    topic text not null,
    partition integer not null,
    group_name text not null,
    stream text not null,
    epoch bigint not null,
    missing text not null,
    held text not null,
    passed text,
    since timestamptz not null,
    state text not null check (state in ('asked', 'reissued', 'closing', 'refused')),
    reason text,
    batch_number bigint,
    changed_at timestamptz not null default clock_timestamp(),
    primary key (topic, partition, group_name)
) with (fillfactor = 50);
comment on table outbox.hole is 'Entries that a group holds because the one before them is missing, and what the leading relay makes of it.';

comment on column outbox.reissue.partition is '0: the stream without a number; n + 1: partition n.';
comment on column outbox.hole.partition is '0: the stream without a number; n + 1: partition n.';

create view outbox_ops.holes as
    select hole.topic,
           greatest(hole.partition - 1, 0) as partition,
           hole.stream,
           hole.group_name,
           hole.missing,
           hole.held,
           hole.passed,
           hole.since,
           hole.state,
           hole.reason,
           hole.changed_at,
           reissue.cut_at as reissued_at,
           share.event_count as events,
           case when passed.batch_number > reissue.batch_number or passed.position >= share.last_position then share.event_count
                when passed.batch_number = reissue.batch_number
                then floor(share.event_count * (passed.position - share.first_position + 1)::numeric / (share.last_position - share.first_position + 1))::bigint
                else 0 end as published
    from outbox.hole hole
    left join outbox.reissue reissue on reissue.batch_number = hole.batch_number
    left join outbox.share share on share.topic = reissue.topic and share.partition = reissue.partition and share.batch_number = reissue.batch_number
    left join lateral (select p.batch_number, p.position from outbox.progress p where p.topic = reissue.topic and p.partition = reissue.partition
                       order by p.batch_number desc, p.position desc limit 1) passed on reissue.batch_number is not null;
comment on view outbox_ops.holes is 'Streams from which a group misses an entry, and how far its repair is.';
comment on column outbox_ops.holes.topic is 'Topic.';
comment on column outbox_ops.holes.partition is 'Partition of the topic; 0 also for the stream without a number.';
comment on column outbox_ops.holes.stream is 'Key of the stream.';
comment on column outbox_ops.holes.group_name is 'The group that asks.';
comment on column outbox_ops.holes.missing is 'The entry it misses.';
comment on column outbox_ops.holes.held is 'The first entry that it holds therefore.';
comment on column outbox_ops.holes.passed is 'The entry it passed last.';
comment on column outbox_ops.holes.since is 'Since when, on the clock of the consumer.';
comment on column outbox_ops.holes.state is '`asked`: the relay looks; `reissued`: what is missing is being put on the stream again, or was; `closing`: it is on the stream; `refused`: the relay cannot help, see reason.';
comment on column outbox_ops.holes.reason is 'Why the relay cannot put it on the stream again, and what to do.';
comment on column outbox_ops.holes.changed_at is 'When the state changed.';
comment on column outbox_ops.holes.reissued_at is 'When the re-issue was cut.';
comment on column outbox_ops.holes.events is 'Events in the re-issue.';
comment on column outbox_ops.holes.published is 'How many of them are on the stream; estimated by position until all are.';

alter table outbox.reissue owner to outbox_maintainer;
alter table outbox.hole owner to outbox_maintainer;
alter view outbox_ops.holes owner to outbox_maintainer;
grant select, insert on outbox.reissue to outbox_relay;
grant select, insert, update, delete on outbox.hole to outbox_relay;
grant select on outbox.reissue, outbox.hole to outbox_observer;
grant select on outbox_ops.holes to outbox_observer, outbox_relay;

-- The summary tells of streams that a group holds, and of holes that stay. The rest is as it was.
create or replace function outbox.summary() returns table (
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
    ), held as (
        -- Longer than a group takes that was restarted or is catching up.
        select count(*) as streams, min(h.stream) as first, (array_agg(h.held_by order by h.stream))[1] as by
        from outbox.stream_seen h where h.held_since < clock_timestamp() - interval '10 minutes'
    ), refused_hole as (
        select count(*) as holes, min(h.stream) as first, (array_agg(h.group_name order by h.stream))[1] as by
        from outbox.hole h where h.state = 'refused'
    ), judged as (
        select case
            when not tail.valid and refused.reason is not null then array['stalled', refused.reason]
            when not tail.valid and backlog.events > 0 then array['stalled', format('no relay holds the lease and %s events wait: start outbox-relay run', backlog.events)]
            when not tail.valid then array['degraded', 'no relay holds the lease: the next events will wait; start outbox-relay run']
            when leader.state in ('waiting', 'refused') then array['stalled', coalesce(leader.reason, format('the leading relay is %s', leader.state))]
            when aside.topics > 0 then array['degraded', format('%s stream(s) wait for a person, the first is %s: see outbox_ops.topics', aside.topics, aside.first)]
            when aside.blocked > 0 then array['degraded', format('%s stream(s) are not taken by the sink, the first is %s: see outbox_ops.topics', aside.blocked, aside.first_blocked)]
            when refused_hole.holes > 0 then array['degraded', format('%s group(s) miss entries that cannot be put out again, the first is %s on %s: see outbox_ops.holes', refused_hole.holes, refused_hole.by, refused_hole.first)]
            when held.streams > 0 then array['degraded', format('%s stream(s) cannot be trimmed, the first is %s, held by group %s: see outbox_ops.streams', held.streams, held.first, held.by)]
            when backlog.oldest_age > interval '1 minute' then array['degraded', format('the oldest event waits for %s', date_trunc('second', backlog.oldest_age))]
            else array['ok', null] end as words
        from tail cross join backlog cross join aside cross join held cross join refused_hole left join leader on true left join refused on true
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
