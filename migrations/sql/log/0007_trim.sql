-- Streams at the sink: how long their entries stay, who reads them, what was taken off, and what the leader last saw there.
-- Groups and floors are append-only. What was seen is updated, once per look.

-- In a table of its own: a column of outbox.topic would have to wait for every open transaction that appended, and every new
-- append would wait behind it.
create table outbox.stream_setting (
    -- '*' holds for the topics without a row.
    topic text primary key check (topic = '*' or topic ~ '^[A-Za-z0-9._-]{1,200}$'),
    retention interval default interval '7 days' check (retention >= interval '1 second'),
    cap bigint check (cap > 0)
);
comment on table outbox.stream_setting is 'How long entries stay on a topic''s streams at least, counted from when their batch was cut (null: for ever), and the hard cap on the length of each (null: none; more entries than that are taken off, read or not). Topic * is the default.';
insert into outbox.stream_setting (topic) values ('*');

create view outbox.stream_rule as
    select topic.name as topic, setting.retention, setting.cap
    from outbox.topic topic
    cross join lateral (select s.retention, s.cap from outbox.stream_setting s
                        where s.topic in (topic.name, '*') order by s.topic = '*' limit 1) setting;
comment on view outbox.stream_rule is 'What holds for each topic''s streams: its own row of outbox.stream_setting, or that of *.';

-- Which groups a stream waits for; the latest row of a group is its state. A group seen on a stream is registered by itself.
create table outbox.stream_group (
    number bigint generated always as identity primary key,
    topic text not null,
    partition integer not null default 0,
    name text not null check (name <> ''),
    action text not null check (action in ('registered', 'forgotten')),
    -- The entry last delivered to it then: a forgotten group that reads on is registered again.
    delivered text,
    reason text not null check (reason <> ''),
    actor text not null default session_user,
    acted_at timestamptz not null default clock_timestamp()
);
create index stream_group_of_stream on outbox.stream_group (topic, partition, name, number);
comment on table outbox.stream_group is 'Consumer groups that a stream waits for before it is trimmed, with who registered or forgot them and why. Append-only: the latest row of a group is its state.';

-- Every entry below a floor may be gone: recorded, and flushed, before the first of them is taken off. The highest counts.
create table outbox.trim_floor (
    number bigint generated always as identity primary key,
    topic text not null,
    partition integer not null default 0,
    batch_id bigint not null check (batch_id >= 0),
    position bigint not null check (position >= 0),
    cause text not null check (cause in ('retention', 'cap')),
    -- Entries below it that some registered group had not acknowledged: lost to that group.
    unread bigint not null default 0 check (unread >= 0 and (unread = 0 or cause = 'cap')),
    epoch bigint not null,
    recorded_at timestamptz not null default clock_timestamp()
);
create index trim_floor_of_stream on outbox.trim_floor (topic, partition, batch_id, position);
create index trim_floor_that_lost on outbox.trim_floor (topic, partition) include (unread) where unread > 0;
comment on table outbox.trim_floor is 'How far each stream was trimmed: entries with a lower id may be gone. Append-only; the highest counts.';

-- What the leader saw when it last looked at a stream.
create table outbox.stream_seen (
    topic text not null,
    partition integer not null default 0,
    stream text not null,
    epoch bigint not null,
    length bigint not null,
    memory_bytes bigint,
    first_entry text,
    last_entry text,
    -- [{"name", "delivered", "pending", "lowest"}]: what the sink says of each group.
    groups jsonb not null default '[]',
    held_by text,
    held_since timestamptz,
    seen_at timestamptz not null default clock_timestamp(),
    primary key (topic, partition)
) with (fillfactor = 50);
comment on column outbox.stream_group.partition is '0: the stream without a number; n + 1: partition n.';
comment on column outbox.trim_floor.partition is '0: the stream without a number; n + 1: partition n.';
comment on column outbox.stream_seen.partition is '0: the stream without a number; n + 1: partition n.';
comment on table outbox.stream_seen is 'One row per stream: what the leading relay saw at the sink when it last looked, and which group keeps entries there that are old enough to go.';

create trigger append_only before update or delete on outbox.stream_group for each row execute function outbox.refuse_change();
create trigger append_only before update or delete on outbox.trim_floor for each row execute function outbox.refuse_change();

-- A person says that a group will not come back: its streams no longer wait for it. Returns how many streams did.
create function outbox.forget_group(topic text, name text, reason text) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    forgotten integer;
begin
    insert into outbox.stream_group (topic, partition, name, action, delivered, reason)
    select latest.topic, latest.partition, latest.name, 'forgotten',
           (select g ->> 'delivered' from outbox.stream_seen s, jsonb_array_elements(s.groups) g
            where s.topic = latest.topic and s.partition = latest.partition and g ->> 'name' = latest.name),
           forget_group.reason
    from (select distinct on (g.partition) g.* from outbox.stream_group g
          where g.topic = forget_group.topic and g.name = forget_group.name
          order by g.partition, g.number desc) latest
    where latest.action = 'registered';
    get diagnostics forgotten = row_count;
    if forgotten = 0 then
        raise exception 'group % is not registered on a stream of topic %', name, topic
            using errcode = 'no_data_found', hint = 'outbox_ops.stream_groups lists the groups.';
    end if;
    return forgotten;
end
$$;

-- The groups of one stream, each with its latest row. A group that is registered on a stream is waited for on the later streams
-- of its topic as well, before it was seen there: where a topic gets more partitions, nobody reads the new ones at first.
create function outbox.groups_of(topic text, partition integer)
returns table (name text, action text, is_own boolean, delivered text, reason text, actor text, acted_at timestamptz)
language sql stable security definer rows 10 set search_path = pg_catalog, pg_temp as $$
    select distinct on (latest.name)
           latest.name, latest.action, latest.partition = groups_of.partition, latest.delivered, latest.reason, latest.actor, latest.acted_at
    from (select distinct on (g.partition, g.name) g.*
          from outbox.stream_group g
          where g.topic = groups_of.topic and g.partition <= groups_of.partition
          order by g.partition, g.name, g.number desc) latest
    where latest.partition = groups_of.partition or latest.action = 'registered'
    order by latest.name, latest.partition = groups_of.partition desc, latest.number desc
$$;

create view outbox_ops.stream_groups as
    select stream.topic,
           greatest(stream.partition - 1, 0) as partition,
           reader.name as group_name,
           case when reader.action = 'forgotten' then 'forgotten' when seen.told is null then 'missing' else 'reading' end as state,
           reader.acted_at as state_since,
           reader.actor,
           reader.reason,
           seen.told ->> 'delivered' as last_delivered,
           (seen.told ->> 'pending')::bigint as pending,
           seen.told ->> 'lowest' as lowest_pending,
           coalesce(seen.stream, stream.name) as stream,
           seen.seen_at
    from outbox.topic_stream stream
    cross join lateral outbox.groups_of(stream.topic, stream.partition) reader
    left join lateral (select s.seen_at, s.stream, told.told from outbox.stream_seen s
                       left join lateral (select t as told from jsonb_array_elements(s.groups) t where t ->> 'name' = reader.name limit 1) told on true
                       where s.topic = stream.topic and s.partition = stream.partition) seen on true;
comment on view outbox_ops.stream_groups is 'One row per stream and consumer group: whether the stream waits for it, and how far it came.';
comment on column outbox_ops.stream_groups.topic is 'Topic.';
comment on column outbox_ops.stream_groups.partition is 'Partition of the topic; 0 also for the stream without a number.';
comment on column outbox_ops.stream_groups.group_name is 'The consumer group.';
comment on column outbox_ops.stream_groups.state is '`reading`; `missing`: registered, and not on the stream, so it has acknowledged nothing; `forgotten`: a person unregistered it, and the stream no longer waits for it.';
comment on column outbox_ops.stream_groups.state_since is 'When it was registered or forgotten.';
comment on column outbox_ops.stream_groups.actor is 'Who registered or forgot it.';
comment on column outbox_ops.stream_groups.reason is 'Why.';
comment on column outbox_ops.stream_groups.last_delivered is 'The entry last delivered to it.';
comment on column outbox_ops.stream_groups.pending is 'Entries delivered and not acknowledged.';
comment on column outbox_ops.stream_groups.lowest_pending is 'The lowest of them: nothing from there on is trimmed.';
comment on column outbox_ops.stream_groups.stream is 'Key of the stream at the sink.';
comment on column outbox_ops.stream_groups.seen_at is 'When the relay last looked.';

create view outbox_ops.streams as
    select seen.topic,
           greatest(seen.partition - 1, 0) as partition,
           seen.stream,
           seen.length,
           seen.memory_bytes,
           seen.first_entry,
           seen.last_entry,
           rule.retention,
           rule.cap,
           floor.batch_id || '-' || floor.position as floor,
           floor.recorded_at as trimmed_at,
           seen.held_by,
           seen.held_since,
           coalesce((select sum(lost.unread) from outbox.trim_floor lost
                     where lost.topic = seen.topic and lost.partition = seen.partition and lost.unread > 0), 0)::bigint as lost_unread,
           seen.seen_at
    from outbox.stream_seen seen
    left join outbox.stream_rule rule on rule.topic = seen.topic
    left join lateral (select * from outbox.trim_floor f where f.topic = seen.topic and f.partition = seen.partition
                       order by f.batch_id desc, f.position desc limit 1) floor on true;
comment on view outbox_ops.streams is 'One row per stream at the sink, as the leading relay last saw it: how long it is, how far it was trimmed, and who holds it.';
comment on column outbox_ops.streams.topic is 'Topic.';
comment on column outbox_ops.streams.partition is 'Partition of the topic; 0 also for the stream without a number.';
comment on column outbox_ops.streams.stream is 'Its key at the sink.';
comment on column outbox_ops.streams.length is 'Entries on it.';
comment on column outbox_ops.streams.memory_bytes is 'What it takes at the sink, estimated; null where the sink does not say.';
comment on column outbox_ops.streams.first_entry is 'Its first entry; null when it has none.';
comment on column outbox_ops.streams.last_entry is 'The entry that the relay put on it last.';
comment on column outbox_ops.streams.retention is 'How long entries stay at least; null for ever.';
comment on column outbox_ops.streams.cap is 'Hard cap on its length; null for none.';
comment on column outbox_ops.streams.floor is 'Entries with a lower id may have been taken off; null when none were.';
comment on column outbox_ops.streams.trimmed_at is 'When that was recorded.';
comment on column outbox_ops.streams.held_by is 'The group that has not acknowledged entries that are old enough to go.';
comment on column outbox_ops.streams.held_since is 'Since when that group holds the stream.';
comment on column outbox_ops.streams.lost_unread is 'Entries that the hard cap took off before some registered group had acknowledged them.';
comment on column outbox_ops.streams.seen_at is 'When the relay last looked.';

alter view outbox.stream_rule owner to outbox_maintainer;
alter function outbox.forget_group owner to outbox_maintainer;
alter function outbox.groups_of owner to outbox_maintainer;
revoke execute on function outbox.forget_group, outbox.groups_of from public;
grant execute on function outbox.groups_of to outbox_relay, outbox_observer;
do $$
declare
    made text;
begin
    foreach made in array array['stream_setting', 'stream_group', 'trim_floor', 'stream_seen'] loop
        execute format('alter table outbox.%I owner to outbox_maintainer', made);
    end loop;
    foreach made in array array['streams', 'stream_groups'] loop
        execute format('alter view outbox_ops.%I owner to outbox_maintainer', made);
        execute format('grant select on outbox_ops.%I to outbox_observer, outbox_relay', made);
    end loop;
end
$$;
grant select on outbox.stream_setting, outbox.stream_rule to outbox_relay, outbox_observer;
grant select, insert on outbox.stream_group, outbox.trim_floor to outbox_relay;
grant select, insert, update on outbox.stream_seen to outbox_relay;
grant select on outbox.stream_group, outbox.trim_floor, outbox.stream_seen to outbox_observer;
