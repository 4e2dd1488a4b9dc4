-- Streams that lost everything are repaired too, and how far a repair is can be seen. What Postgres no longer has is said by
-- stream and range. A person can order a re-issue.

-- Lost: the sink no longer has the entry last put on the stream. The relay repairs it by itself.
alter table outbox.stream_action drop constraint stream_action_action_check;
alter table outbox.stream_action add constraint stream_action_action_check
    check (action in ('set_aside', 'blocked', 'unblocked', 'resume', 'skip', 'lost'));
-- A floor that a loss made: what is below it is gone at both ends.
alter table outbox.trim_floor drop constraint trim_floor_cause_check;
alter table outbox.trim_floor add constraint trim_floor_cause_check check (cause in ('retention', 'cap', 'lost'));

create or replace function outbox.resume_topic(topic text, reason text, partition integer default null) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    latest outbox.stream_action;
begin
    latest := outbox.stopped_stream(topic, partition, array['set_aside', 'blocked', 'lost'], 'neither set aside nor blocked, nor did it lose entries');
    -- A resume that a crash undid after the stream went on would set it aside again behind itself.
    perform set_config('synchronous_commit', 'on', true);
    insert into outbox.stream_action (topic, partition, action, batch_number, position, event_id, reason)
    values (topic, latest.partition, 'resume', latest.batch_number, latest.position, latest.event_id, reason);
    notify outbox;
    return latest.position;
end
$$;

create or replace view outbox_ops.topics as
    select topic.name as topic,
           greatest(stream.partition - 1, 0) as partition,
           topic.retention,
           class.keep,
           topic.created_at as seen_since,
           coalesce(stopped.action,
               case when stream.partition = 0 and exists (
                   select from outbox.topic_layout l where l.topic = topic.name and l.batch_number <= passed.batch_number) then 'ended' else 'moving' end) as state,
           stopped.acted_at as stopped_since,
           stopped.reason,
           stopped.event_id,
           passed.batch_number as passed_batch,
           passed.position as passed_position,
           case when passed.chain_batch_id > 0 then passed.chain_batch_id || '-' || passed.chain_position end as last_entry,
           passed.recorded_at as passed_at,
           stream.name as stream
    from outbox.topic topic
    join outbox.retention_class class on class.name = topic.retention
    join outbox.topic_stream stream on stream.topic = topic.name
    left join lateral (select * from outbox.stream_action a where a.topic = topic.name and a.partition = stream.partition
                       order by a.number desc limit 1) latest on true
    left join lateral (select latest.* where latest.action in ('set_aside', 'blocked', 'lost')) stopped on true
    left join lateral (select * from outbox.progress p where p.topic = topic.name and p.partition = stream.partition
                       order by p.batch_number desc, p.position desc limit 1) passed on true;
comment on column outbox_ops.topics.state is '`moving`; `ended`: the topic has partitions since, and nothing more comes on this stream; `blocked`: the sink does not take this stream now (wrong type, no permission), and the relay tries again; `lost`: the sink no longer has the entry last put on it, and the relay repairs it; `set_aside`: it waits at one event for `outbox-relay topic resume` or `topic skip-event`.';

-- What a stream lost and the relay cannot put out again.
create table outbox.loss (
    number bigint generated always as identity primary key,
    topic text not null,
    partition integer not null,
    stream text not null,
    -- Behind the one, up to and with the other; 0-0 stands before the first.
    after_entry text not null,
    through_entry text not null,
    events bigint not null check (events >= 0),
    why text not null check (why in ('log', 'generation')),
    -- Groups that the stream waits for and that were not known to have acknowledged all of it.
    missed_by text[] not null,
    epoch bigint not null,
    found_at timestamptz not null default clock_timestamp()
);
create index loss_of_stream on outbox.loss (topic, partition, number);
create index loss_found on outbox.loss (found_at);
comment on table outbox.loss is 'Ranges that a stream lost at the sink and that cannot be put out again. Append-only.';
comment on column outbox.loss.partition is '0: the stream without a number; n + 1: partition n.';
create trigger append_only before update or delete on outbox.loss for each row execute function outbox.refuse_change();

create view outbox_ops.losses as
    select loss.topic, greatest(loss.partition - 1, 0) as partition, loss.stream, loss.after_entry, loss.through_entry, loss.events,
           loss.why, loss.missed_by, loss.found_at
    from outbox.loss loss;
comment on view outbox_ops.losses is 'Ranges that streams lost at the sink and that cannot be put out again.';
comment on column outbox_ops.losses.topic is 'Topic.';
comment on column outbox_ops.losses.partition is 'Partition of the topic; 0 also for the stream without a number.';
comment on column outbox_ops.losses.stream is 'Key of the stream.';
comment on column outbox_ops.losses.after_entry is 'The range begins behind this entry; 0-0: at the beginning.';
comment on column outbox_ops.losses.through_entry is 'It ends with this entry; what follows is on the stream, or is put out again.';
comment on column outbox_ops.losses.events is 'Events that the ledger cut into it.';
comment on column outbox_ops.losses.why is '`log`: Postgres no longer has all of it; `generation`: it is from before the topic got its partitions, and would come behind the end of those.';
comment on column outbox_ops.losses.missed_by is 'Groups that the stream waits for and that had not acknowledged all of it, as far as the relay knew; empty: nobody misses it.';
comment on column outbox_ops.losses.found_at is 'When it was found.';

-- Re-issues that a person asks for: written by a command, carried out by the leading relay, which alone may write the ledger.
create table outbox.reissue_order (
    number bigint generated always as identity primary key,
    topic text not null,
    partition integer not null,
    from_batch_id bigint not null,
    from_position bigint not null,
    -- Nothing: to the end of the stream.
    to_batch_id bigint,
    to_position bigint,
    is_preview boolean not null,
    reason text not null check (reason <> ''),
    actor text not null default session_user,
    ordered_at timestamptz not null default clock_timestamp(),
    state text not null default 'waiting' check (state in ('waiting', 'possible', 'done', 'refused')),
    answer text,
    kept text,
    wanted bigint,
    events bigint,
    batch_number bigint,
    answered_at timestamptz
);
create index reissue_order_waiting on outbox.reissue_order (number) where state = 'waiting';
create index reissue_order_of_batch on outbox.reissue_order (batch_number) where batch_number is not null;
comment on table outbox.reissue_order is 'Audit of re-issues that people asked for: who, when, why, and what became of it. Previews are among them.';
comment on column outbox.reissue_order.partition is '0: the stream without a number; n + 1: partition n.';

-- A place on a stream that a person means: an entry id, or a time, which is where batches begin that were cut then.
create function outbox.place_of(place text, out batch_id bigint, out "position" bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if place ~ '^[0-9]{1,18}-[0-9]{1,18}$' then
        batch_id := split_part(place, '-', 1)::bigint;
        position := split_part(place, '-', 2)::bigint;
    else
        batch_id := floor(extract(epoch from place::timestamptz) * 1000)::bigint;
        position := 0;
    end if;
exception when data_exception then
    raise exception '% is neither an entry id (<batch>-<position>) nor a time', place using errcode = 'invalid_parameter_value';
end
$$;

-- Orders a re-issue of a topic's streams, or of one, from a place on; or only asks what it would be. Returns the numbers of the orders.
create function outbox.order_reissue(topic text, partition integer, from_place text, to_place text, is_preview boolean, reason text)
returns setof bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    first record;
    last record;
begin
    select * into first from outbox.place_of(from_place);
    select * into last from outbox.place_of(to_place) where to_place is not null;
    if (last.batch_id, last."position") < (first.batch_id, first."position") then
        raise exception 'the end % is before the beginning %', to_place, from_place using errcode = 'invalid_parameter_value';
    end if;
    return query
    insert into outbox.reissue_order (topic, partition, from_batch_id, from_position, to_batch_id, to_position, is_preview, reason)
    select stream.topic, stream.partition, first.batch_id, first."position", last.batch_id, last."position",
           order_reissue.is_preview, order_reissue.reason
    from outbox.topic_stream stream
    where stream.topic = order_reissue.topic
      and (order_reissue.partition is null or stream.partition = order_reissue.partition + 1
           or stream.partition = 0 and order_reissue.partition = 0
              and not exists (select from outbox.topic_layout l where l.topic = order_reissue.topic))
      and exists (select from outbox.share s where s.topic = stream.topic and s.partition = stream.partition)
    order by stream.partition
    returning number;
    if not found then
        raise exception '% has no stream on which anything was published', concat('topic ' || topic, ' partition ' || partition)
            using errcode = 'no_data_found';
    end if;
end
$$;

create view outbox_ops.reissue_orders as
    select o.number, o.topic, greatest(o.partition - 1, 0) as partition, o.from_batch_id || '-' || o.from_position as from_entry,
           o.to_batch_id || '-' || o.to_position as to_entry, o.is_preview, o.state, o.answer, o.kept, o.wanted, o.events,
           o.actor, o.reason, o.ordered_at, o.answered_at,
           case o.partition when 0 then o.topic else o.topic || ':' || o.partition - 1 end as stream
    from outbox.reissue_order o;
comment on view outbox_ops.reissue_orders is 'Re-issues that people asked for with `outbox-relay recover reissue`, previews included: the audit of who did it and why.';
comment on column outbox_ops.reissue_orders.number is 'Order of the orders.';
comment on column outbox_ops.reissue_orders.topic is 'Topic.';
comment on column outbox_ops.reissue_orders.partition is 'Partition of the topic; 0 also for the stream without a number.';
comment on column outbox_ops.reissue_orders.from_entry is 'From which entry id on.';
comment on column outbox_ops.reissue_orders.to_entry is 'Up to which entry id it was asked for; null: to the end.';
comment on column outbox_ops.reissue_orders.is_preview is 'Whether it was only asked what it would be.';
comment on column outbox_ops.reissue_orders.state is '`waiting` for the leading relay; `possible`: the answer to a preview; `done`: it was cut and is being published, or was; `refused`: see answer.';
comment on column outbox_ops.reissue_orders.answer is 'Why it was refused, and what to do.';
comment on column outbox_ops.reissue_orders.kept is 'The entry behind which it begins.';
comment on column outbox_ops.reissue_orders.wanted is 'Events between the two ends that were asked for.';
comment on column outbox_ops.reissue_orders.events is 'Events that are put out again: all of the stream behind the entry that is kept.';
comment on column outbox_ops.reissue_orders.actor is 'Who asked.';
comment on column outbox_ops.reissue_orders.reason is 'Why.';
comment on column outbox_ops.reissue_orders.ordered_at is 'When.';
comment on column outbox_ops.reissue_orders.answered_at is 'When the relay answered.';
comment on column outbox_ops.reissue_orders.stream is 'The stream''s key at the sink, without prefix and writer.';

-- Positions of a re-issue are dense enough to go by: exact at both ends.
create view outbox_ops.reissues as
    select sent.topic, sent.partition, sent.stream, sent.kept, sent.missing, sent.asked_by, sent.cut_at, sent.events, sent.published,
           case when sent.replaced then 'replaced' when sent.published >= sent.events then 'done' else 'running' end as state,
           case when sent.published > 0 and sent.published < sent.events and not sent.replaced
                then (clock_timestamp() - sent.cut_at) * ((sent.events - sent.published)::double precision / sent.published) end as remaining
    from (
        select reissue.topic, greatest(reissue.partition - 1, 0) as partition,
               case reissue.partition when 0 then reissue.topic else reissue.topic || ':' || reissue.partition - 1 end as stream,
               reissue.kept_batch_id || '-' || reissue.kept_position as kept, reissue.missing, reissue.asked_by, reissue.cut_at,
               share.event_count as events,
               exists (select from outbox.reissue later where later.topic = reissue.topic and later.partition = reissue.partition
                       and later.batch_number > reissue.batch_number) and not coalesce(here.is_over, false) as replaced,
               case when here.is_over then share.event_count
                    when here.position is not null then least(share.event_count - 1, greatest(0, floor(
                        share.event_count * (here.position - share.first_position + 1)::numeric / (share.last_position - share.first_position + 1))))::bigint
                    else 0 end as published
        from outbox.reissue reissue
        join outbox.share share on share.topic = reissue.topic and share.partition = reissue.partition and share.batch_number = reissue.batch_number
        left join lateral (select p.position, p.position >= share.last_position as is_over from outbox.progress p
                           where p.topic = reissue.topic and p.partition = reissue.partition and p.batch_number = reissue.batch_number
                           order by p.position desc limit 1) own on true
        left join lateral (select p.batch_number from outbox.progress p where p.topic = reissue.topic and p.partition = reissue.partition
                           order by p.batch_number desc, p.position desc limit 1) newest on true
        left join lateral (select own.position,
                                  coalesce(own.is_over, false)
                                  or newest.batch_number > reissue.batch_number
                                     and not exists (select from outbox.reissue later
                                                     where later.topic = reissue.topic and later.partition = reissue.partition
                                                       and later.batch_number > reissue.batch_number) as is_over) here on true
    ) sent;
comment on view outbox_ops.reissues is 'Streams that were put out again from an entry on, and how far each is.';
comment on column outbox_ops.reissues.topic is 'Topic.';
comment on column outbox_ops.reissues.partition is 'Partition of the topic; 0 also for the stream without a number.';
comment on column outbox_ops.reissues.stream is 'The stream''s key at the sink, without prefix and writer.';
comment on column outbox_ops.reissues.kept is 'The entry behind which it begins; 0-0: at the beginning.';
comment on column outbox_ops.reissues.missing is 'What was missing.';
comment on column outbox_ops.reissues.asked_by is 'Who missed it: a group, the relay, or a person.';
comment on column outbox_ops.reissues.cut_at is 'When it was cut.';
comment on column outbox_ops.reissues.events is 'Events in it.';
comment on column outbox_ops.reissues.published is 'How many of them are on the stream; estimated by position until all are.';
comment on column outbox_ops.reissues.state is '`running`; `done`; `replaced`: a later re-issue of the stream took over before it was done.';
comment on column outbox_ops.reissues.remaining is 'How long it will take at its speed so far; null when it is not running, or nothing is published yet.';

alter function outbox.place_of owner to outbox_maintainer;
alter function outbox.order_reissue owner to outbox_maintainer;
revoke execute on function outbox.place_of, outbox.order_reissue from public;
alter table outbox.loss owner to outbox_maintainer;
alter table outbox.reissue_order owner to outbox_maintainer;
do $$
declare
    made text;
begin
    foreach made in array array['losses', 'reissue_orders', 'reissues'] loop
        execute format('alter view outbox_ops.%I owner to outbox_maintainer', made);
        execute format('grant select on outbox_ops.%I to outbox_observer, outbox_relay', made);
    end loop;
end
$$;
grant select, insert on outbox.loss to outbox_relay;
grant select, update on outbox.reissue_order to outbox_relay;
grant select on outbox.loss, outbox.reissue_order to outbox_observer;

-- The summary tells of streams that are being repaired, and of what is lost. The rest is as it was.
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
               count(*) filter (where state = 'lost') as lost, min(topic) filter (where state = 'set_aside') as first,
               min(topic) filter (where state = 'blocked') as first_blocked, min(stream) filter (where state = 'lost') as first_lost
        from outbox_ops.topics
    ), gone as (
        -- For a day: whoever misses it holds, and is told as well.
        select count(*) as losses, min(l.stream) as first
        from outbox.loss l where l.found_at > clock_timestamp() - interval '1 day' and cardinality(l.missed_by) > 0
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
            when aside.lost > 0 then array['degraded', format('%s stream(s) lost entries and are being repaired, the first is %s: see outbox_ops.topics and outbox_ops.reissues', aside.lost, aside.first_lost)]
            when aside.blocked > 0 then array['degraded', format('%s stream(s) are not taken by the sink, the first is %s: see outbox_ops.topics', aside.blocked, aside.first_blocked)]
            when refused_hole.holes > 0 then array['degraded', format('%s group(s) miss entries that cannot be put out again, the first is %s on %s: see outbox_ops.holes', refused_hole.holes, refused_hole.by, refused_hole.first)]
            when gone.losses > 0 then array['degraded', format('%s stream(s) lost entries that cannot be put out again and that some group had not acknowledged, the first is %s: see outbox_ops.losses', gone.losses, gone.first)]
            when held.streams > 0 then array['degraded', format('%s stream(s) cannot be trimmed, the first is %s, held by group %s: see outbox_ops.streams', held.streams, held.first, held.by)]
            when backlog.oldest_age > interval '1 minute' then array['degraded', format('the oldest event waits for %s', date_trunc('second', backlog.oldest_age))]
            else array['ok', null] end as words
        from tail cross join backlog cross join aside cross join held cross join refused_hole cross join gone left join leader on true left join refused on true
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
