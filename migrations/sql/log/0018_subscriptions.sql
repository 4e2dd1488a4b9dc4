-- Subscriptions: named readers of stored events. How far one has come is a snapshot, committed with what its handler did.

do $$
declare
    wanted text;
begin
    foreach wanted in array array['outbox_subscriber', 'outbox_operator'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin', wanted);
            exception
                when duplicate_object or unique_violation then null;
                when insufficient_privilege then
                    raise exception 'role % does not exist and % may not create roles', wanted, current_user
                        using errcode = 'insufficient_privilege', hint = format('as an administrator: create role %I nologin; then migrate again', wanted);
            end;
        end if;
    end loop;
end
$$;
grant usage on schema outbox to outbox_subscriber, outbox_operator;
grant usage on schema outbox_ops to outbox_operator;

-- A subscription, or the next one of the same name while a projection is built anew beside the live one.
create table outbox.subscription (
    name text not null check (name ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
    generation integer not null check (generation > 0),
    partitions integer not null check (partitions between 1 and 256),
    -- Null: all of them.
    categories text[],
    types text[],
    created_at timestamptz not null default clock_timestamp(),
    paused_at timestamptz,
    paused_by text,
    paused_reason text,
    primary key (name, generation),
    check ((paused_at is null) = (paused_by is null) and (paused_at is null) = (paused_reason is null))
);
comment on table outbox.subscription is 'Named readers of stored events. What one reads never changes: other categories, types or partitions are another name, or another generation.';

-- Who applies a partition, on the clock of this database. The applying transaction holds the row for key share, a takeover takes it
-- for update: so it waits for what is being committed, and what comes after it finds another epoch.
create table outbox.subscription_lease (
    subscription text not null,
    generation integer not null,
    partition integer not null,
    epoch bigint not null default 0 check (epoch >= 0),
    holder text,
    acquired_at timestamptz,
    expires_at timestamptz not null default '-infinity',
    primary key (subscription, generation, partition),
    foreign key (subscription, generation) references outbox.subscription on delete cascade
) with (fillfactor = 50);
comment on table outbox.subscription_lease is 'One row per subscription and partition. Each change of hands raises the epoch.';

-- What a partition has behind it. No column is indexed but those of the key, so that an update stays on its page.
create table outbox.subscription_checkpoint (
    subscription text not null,
    generation integer not null,
    partition integer not null,
    -- The era whose transaction ids the snapshots tell of. What was appended before it is done.
    era integer not null default 1,
    -- Everything visible in it is done. Before the first, nothing was visible: every transaction id is at least 3.
    done pg_snapshot not null default '3:3:',
    -- Rows of transactions at or above its xmax lie above this position.
    done_floor bigint not null default 0,
    -- Rows visible in it lie at or below this position.
    done_through bigint not null default 0,
    -- What is being worked to: of what is visible in it and not in `done`, everything up to `after_position` is done. Null: nothing is.
    goal pg_snapshot,
    goal_floor bigint,
    goal_through bigint,
    after_position bigint not null default 0,
    -- The last position drawn before the transaction began that wrote this row.
    drawn bigint not null default 0,
    -- Events handed to the handler, parked ones included.
    events bigint not null default 0 check (events >= 0),
    -- When the newest of them was recorded.
    last_recorded_at timestamptz,
    moved_at timestamptz not null default clock_timestamp(),
    primary key (subscription, generation, partition),
    foreign key (subscription, generation) references outbox.subscription on delete cascade,
    check ((goal is null) = (goal_through is null) and (goal is null) = (goal_floor is null))
) with (fillfactor = 20);
comment on table outbox.subscription_checkpoint is 'How far a subscription has come, written in the transaction of its handler.';

create function outbox.refuse_return() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'outbox.% of subscription % (generation %, partition %) may only rise', tg_table_name, old.subscription, old.generation, old.partition
        using errcode = 'check_violation';
end
$$;
create trigger epoch_rises before update on outbox.subscription_lease for each row
    when (new.epoch < old.epoch or (new.holder is distinct from old.holder and new.holder is not null and new.epoch = old.epoch))
    execute function outbox.refuse_return();
create trigger checkpoint_rises before update on outbox.subscription_checkpoint for each row
    when (new.era < old.era or (new.era = old.era and pg_snapshot_xmax(new.done) < pg_snapshot_xmax(old.done)))
    execute function outbox.refuse_return();

-- A stream of which an event failed: later ones of it wait behind it. They are in the store, so only the place is kept.
create table outbox.parked_stream (
    subscription text not null,
    generation integer not null,
    partition integer not null,
    stream bigint not null,
    -- Of the stream, everything before this version is done.
    version bigint not null check (version > 0),
    state text not null check (state in ('retrying', 'parked')),
    attempts integer not null check (attempts >= 0),
    first_failed_at timestamptz not null default clock_timestamp(),
    failed_at timestamptz not null default clock_timestamp(),
    retry_at timestamptz not null,
    error_class text not null,
    error text not null,
    primary key (subscription, generation, stream),
    foreign key (subscription, generation) references outbox.subscription on delete cascade
);
create index parked_stream_due on outbox.parked_stream (subscription, generation, partition, retry_at) where state = 'retrying';
comment on table outbox.parked_stream is 'Streams that wait, for the next attempt (retrying) or for a person (parked). error may hold what the handler said; the view outbox_ops.parked_streams leaves it out.';

-- Processes at work, so that they share the partitions.
create table outbox.subscription_member (
    subscription text not null,
    generation integer not null,
    member text not null,
    seen_at timestamptz not null default clock_timestamp(),
    primary key (subscription, generation, member),
    foreign key (subscription, generation) references outbox.subscription on delete cascade
) with (fillfactor = 50);
comment on table outbox.subscription_member is 'Processes that run a subscription.';

-- What people did.
create table outbox.subscription_action (
    number bigint generated always as identity primary key,
    subscription text not null,
    generation integer not null,
    action text not null check (action in ('pause', 'resume', 'retry', 'skip')),
    stream text,
    version bigint,
    reason text not null check (reason <> ''),
    actor text not null default session_user,
    acted_at timestamptz not null default clock_timestamp()
);
comment on table outbox.subscription_action is 'Audit of what people did to subscriptions. Append-only.';
create trigger append_only before update or delete on outbox.subscription_action for each row execute function outbox.refuse_change();

create function outbox.pause_subscription(name text, reason text, generation integer default null) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    changed bigint;
begin
    if not exists (select from outbox.subscription s where s.name = pause_subscription.name) then
        raise exception 'there is no subscription %', quote_nullable(left(name, 100)) using errcode = 'no_data_found';
    end if;
    with paused as (
        update outbox.subscription s set paused_at = clock_timestamp(), paused_by = session_user, paused_reason = pause_subscription.reason
        where s.name = pause_subscription.name and s.paused_at is null and (pause_subscription.generation is null or s.generation = pause_subscription.generation)
        returning s.name, s.generation
    ), told as (
        insert into outbox.subscription_action (subscription, generation, action, reason)
        select paused.name, paused.generation, 'pause', pause_subscription.reason from paused returning 1
    )
    select count(*) into changed from told;
    return changed;
end
$$;

create function outbox.resume_subscription(name text, reason text, generation integer default null) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    changed bigint;
begin
    if not exists (select from outbox.subscription s where s.name = resume_subscription.name) then
        raise exception 'there is no subscription %', quote_nullable(left(name, 100)) using errcode = 'no_data_found';
    end if;
    with resumed as (
        update outbox.subscription s set paused_at = null, paused_by = null, paused_reason = null
        where s.name = resume_subscription.name and s.paused_at is not null and (resume_subscription.generation is null or s.generation = resume_subscription.generation)
        returning s.name, s.generation
    ), told as (
        insert into outbox.subscription_action (subscription, generation, action, reason)
        select resumed.name, resumed.generation, 'resume', resume_subscription.reason from resumed returning 1
    )
    select count(*) into changed from told;
    return changed;
end
$$;

-- Has parked streams of a subscription tried again at once; null: all of them. How many there were.
create function outbox.retry_parked_streams(subscription text, stream text, reason text) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    changed bigint;
begin
    with again as (
        update outbox.parked_stream p set state = 'retrying', attempts = 0, retry_at = clock_timestamp()
        where p.subscription = retry_parked_streams.subscription
          and (retry_parked_streams.stream is null or p.stream = (select s.id from outbox.stream s where s.name = retry_parked_streams.stream))
        returning p.subscription, p.generation, p.stream, p.version
    ), told as (
        insert into outbox.subscription_action (subscription, generation, action, stream, version, reason)
        select again.subscription, again.generation, 'retry', s.name, again.version, retry_parked_streams.reason
        from again join outbox.stream s on s.id = again.stream returning 1
    )
    select count(*) into changed from told;
    if changed = 0 then
        raise exception 'nothing of subscription % is parked', quote_nullable(left(subscription, 100))
            || coalesce(' on stream ' || left(stream, 400), '') using errcode = 'no_data_found';
    end if;
    return changed;
end
$$;

-- Passes over the event that a parked stream waits at. The version is named, so that no other one is passed over by mistake.
create function outbox.skip_parked_event(subscription text, stream text, version bigint, reason text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    changed bigint;
begin
    with skipped as (
        update outbox.parked_stream p set version = p.version + 1, state = 'retrying', attempts = 0, retry_at = clock_timestamp()
        where p.subscription = skip_parked_event.subscription and p.version = skip_parked_event.version
          and p.stream = (select s.id from outbox.stream s where s.name = skip_parked_event.stream)
        returning p.subscription, p.generation
    ), told as (
        insert into outbox.subscription_action (subscription, generation, action, stream, version, reason)
        select skipped.subscription, skipped.generation, 'skip', skip_parked_event.stream, skip_parked_event.version, skip_parked_event.reason
        from skipped returning 1
    )
    select count(*) into changed from told;
    if changed = 0 then
        raise exception 'subscription % does not wait at version % of stream %', quote_nullable(left(subscription, 100)), version, quote_nullable(left(stream, 400))
            using errcode = 'no_data_found', hint = 'What it waits at is in outbox_ops.parked_streams.';
    end if;
end
$$;

-- What a subscription has before it: events, counted up to 10,000 per partition, and when the oldest was recorded.
create function outbox.subscription_backlog(subscription text, generation integer) returns table (events bigint, exact boolean, oldest_recorded_at timestamptz)
language sql stable security definer cost 1000
set search_path = pg_catalog, pg_temp set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
    with place as (
        select c.*, s.partitions, s.types,
               case when s.categories is not null then array(select k.id from outbox.category k where k.name = any(s.categories)) end as categories,
               coalesce((select e.position_floor from outbox.era e where e.era > c.era order by e.era limit 1), 9223372036854775807) as next_floor
        from outbox.subscription_checkpoint c
        join outbox.subscription s on s.name = c.subscription and s.generation = c.generation
        where c.subscription = subscription_backlog.subscription and c.generation = subscription_backlog.generation
    ), pending as (
        select p.partition, row.recorded_at
        from place p
        cross join lateral (
            (select l.recorded_at from outbox.log l
             where l.retention in ('stream', 'archive') and l.position > p.done_floor
               and (l.transaction_id >= pg_snapshot_xmax(p.done) or (p.next_floor < 9223372036854775807 and l.position > p.done_through))
               and (p.goal is null or not (l.position <= p.after_position and pg_visible_in_snapshot(l.transaction_id, p.goal)))
               and l.stream % p.partitions = p.partition
               and (p.categories is null or l.category = any(p.categories)) and (p.types is null or l.type = any(p.types))
             order by l.position limit 10000)
            union all
            (select l.recorded_at from pg_snapshot_xip(p.done) late, outbox.log l
             where l.transaction_id = late and l.retention in ('stream', 'archive')
               and (p.goal is null or not (l.position <= p.after_position and pg_visible_in_snapshot(l.transaction_id, p.goal)))
               and l.stream % p.partitions = p.partition
               and (p.categories is null or l.category = any(p.categories)) and (p.types is null or l.type = any(p.types))
             limit 10000)
        ) row
    )
    select count(*), count(*) < 10000, min(pending.recorded_at) from pending
$$;

create view outbox_ops.subscriptions as
    select s.name as subscription, s.generation,
           case when s.paused_at is not null then 'paused' when lease.held = 0 then 'waiting' else 'running' end as state,
           s.partitions, lease.held as held_partitions, s.categories, s.types,
           backlog.events as lag_events, backlog.exact as lag_exact,
           case when backlog.oldest_recorded_at is not null then greatest(extract(epoch from clock_timestamp() - backlog.oldest_recorded_at), 0)::double precision else 0 end as lag_seconds,
           parked.retrying as retrying_streams, parked.parked as parked_streams,
           place.events as applied_events, place.last_recorded_at, place.moved_at, s.paused_at, s.paused_by, s.paused_reason, s.created_at
    from outbox.subscription s
    cross join lateral (
        select count(*) filter (where l.expires_at > clock_timestamp()) as held from outbox.subscription_lease l
        where l.subscription = s.name and l.generation = s.generation) lease
    cross join lateral (
        select sum(c.events)::bigint as events, max(c.last_recorded_at) as last_recorded_at, max(c.moved_at) as moved_at
        from outbox.subscription_checkpoint c where c.subscription = s.name and c.generation = s.generation) place
    cross join lateral (
        select count(*) filter (where p.state = 'retrying') as retrying, count(*) filter (where p.state = 'parked') as parked
        from outbox.parked_stream p where p.subscription = s.name and p.generation = s.generation) parked
    cross join lateral outbox.subscription_backlog(s.name, s.generation) backlog;
comment on view outbox_ops.subscriptions is 'Subscriptions: state, what lies before them, and how many streams wait.';
comment on column outbox_ops.subscriptions.subscription is 'Its name.';
comment on column outbox_ops.subscriptions.generation is '1, and one more each time that a projection was built anew.';
comment on column outbox_ops.subscriptions.state is '`running`; `waiting`: no process holds a partition of it; `paused`: by a person.';
comment on column outbox_ops.subscriptions.partitions is 'How many processes can share it at most.';
comment on column outbox_ops.subscriptions.held_partitions is 'How many of them a process holds now.';
comment on column outbox_ops.subscriptions.categories is 'Categories that it reads; null: all.';
comment on column outbox_ops.subscriptions.types is 'Types that it reads; null: all.';
comment on column outbox_ops.subscriptions.lag_events is 'Events that lie before it; counted up to 10,000 per partition.';
comment on column outbox_ops.subscriptions.lag_exact is 'Whether there are no more than counted.';
comment on column outbox_ops.subscriptions.lag_seconds is 'Age of the oldest of them; 0: there is none.';
comment on column outbox_ops.subscriptions.retrying_streams is 'Streams that wait for the next attempt at an event that failed.';
comment on column outbox_ops.subscriptions.parked_streams is 'Streams that wait for a person: nothing of them is applied meanwhile.';
comment on column outbox_ops.subscriptions.applied_events is 'Events handed to its handler so far.';
comment on column outbox_ops.subscriptions.last_recorded_at is 'When the newest of them was recorded.';
comment on column outbox_ops.subscriptions.moved_at is 'When its checkpoint moved last.';
comment on column outbox_ops.subscriptions.paused_at is 'Since when it is paused.';
comment on column outbox_ops.subscriptions.paused_by is 'By whom.';
comment on column outbox_ops.subscriptions.paused_reason is 'Why.';
comment on column outbox_ops.subscriptions.created_at is 'When it was run for the first time.';

create view outbox_ops.parked_streams as
    select p.subscription, p.generation, p.partition, p.stream as stream_id,
           -- A name of a stream may be that of a person.
           case when has_table_privilege('outbox.parked_stream', 'select') then (select s.name from outbox.stream s where s.id = p.stream) end as stream,
           p.version, p.state,
           p.attempts, p.error_class, p.first_failed_at, p.failed_at, case when p.state = 'retrying' then p.retry_at end as retry_at
    from outbox.parked_stream p;
comment on view outbox_ops.parked_streams is 'Streams that wait for a subscription, at the event that failed. Without what the handler said: outbox.parked_stream has it.';
comment on column outbox_ops.parked_streams.subscription is 'Name of the subscription.';
comment on column outbox_ops.parked_streams.generation is 'Its generation.';
comment on column outbox_ops.parked_streams.partition is 'Its partition.';
comment on column outbox_ops.parked_streams.stream_id is 'Number of the stream.';
comment on column outbox_ops.parked_streams.stream is 'Its name; null for who may not see keys.';
comment on column outbox_ops.parked_streams.version is 'Version of the event that failed; later ones wait behind it.';
comment on column outbox_ops.parked_streams.state is '`retrying`: it is tried again at retry_at; `parked`: a person decides.';
comment on column outbox_ops.parked_streams.attempts is 'How often it failed.';
comment on column outbox_ops.parked_streams.error_class is '`handler`, `panic`, `timeout` or an SQLSTATE.';
comment on column outbox_ops.parked_streams.first_failed_at is 'When it failed first.';
comment on column outbox_ops.parked_streams.failed_at is 'When it failed last.';
comment on column outbox_ops.parked_streams.retry_at is 'When it is tried again.';

do $$
declare
    made text;
    function regprocedure;
begin
    foreach made in array array['subscription', 'subscription_lease', 'subscription_checkpoint', 'parked_stream', 'subscription_member', 'subscription_action'] loop
        execute format('alter table outbox.%I owner to outbox_maintainer', made);
    end loop;
    alter view outbox_ops.subscriptions owner to outbox_maintainer;
    alter view outbox_ops.parked_streams owner to outbox_maintainer;
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('refuse_return', 'pause_subscription', 'resume_subscription', 'retry_parked_streams', 'skip_parked_event', 'subscription_backlog') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
-- Whoever applies reads what is stored, and moves checkpoints; a reader that only looks must not.
grant select on outbox.stored_event, outbox.stream, outbox.category, outbox.era, outbox.log_position to outbox_subscriber;
do $$
begin
    -- Made by whoever migrates, and not by these files.
    if to_regclass('outbox.log_migration') is not null then
        grant select on outbox.log_migration to outbox_subscriber;
    end if;
end
$$;
grant select, insert on outbox.subscription to outbox_subscriber;
grant select, insert, update on outbox.subscription_lease, outbox.subscription_checkpoint to outbox_subscriber;
grant select, insert, update, delete on outbox.parked_stream, outbox.subscription_member to outbox_subscriber;
grant execute on function outbox.pause_subscription, outbox.resume_subscription, outbox.retry_parked_streams, outbox.skip_parked_event to outbox_operator;
grant select on outbox.parked_stream, outbox.subscription_action to outbox_operator;
grant select on outbox.subscription to outbox_observer;
grant execute on function outbox.subscription_backlog to outbox_observer, outbox_operator;
grant select on outbox_ops.subscriptions, outbox_ops.parked_streams to outbox_observer, outbox_operator;
