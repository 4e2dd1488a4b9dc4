-- What a consumer needs in the database of its handler, with the log beside it or without: who may apply a stream,
-- how far it came, which events had their effect, what keeps failing and what was given up.
-- Roles belong to the cluster, so they may exist already; a second database migrating at this moment may win the race.

do $$
declare
    wanted text;
begin
    foreach wanted in array array['outbox_maintainer', 'outbox_consumer', 'outbox_observer'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin', wanted);
            exception
                when duplicate_object or unique_violation then null;
                when insufficient_privilege then
                    raise exception 'role % does not exist and % may not create roles', wanted, current_user
                        using errcode = 'insufficient_privilege',
                              hint = format('as an administrator: create role %I nologin; grant outbox_maintainer to %I; then migrate again', wanted, current_user);
            end;
        end if;
    end loop;
    if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user)
       and not pg_catalog.pg_has_role(current_user, 'outbox_maintainer', 'member') then
        execute format('grant outbox_maintainer to %I', current_user);
    end if;
    if to_regnamespace('outbox_ops') is null then
        create schema outbox_ops;
    end if;
    if to_regclass('outbox.inbox_migration') is not null then
        grant select on outbox.inbox_migration to outbox_consumer, outbox_observer;
    end if;
end
$$;

grant usage on schema outbox to outbox_maintainer, outbox_consumer, outbox_observer;
grant create on schema outbox to outbox_maintainer;
grant usage on schema outbox_ops to outbox_maintainer, outbox_consumer, outbox_observer;
grant create on schema outbox_ops to outbox_maintainer;

create table outbox.inbox_settings (
    only_row boolean primary key default true check (only_row),
    keep interval default interval '30 days' check (keep >= interval '1 day')
);
comment on table outbox.inbox_settings is 'One row. keep: how long the ids of applied events are remembered, counted from when they were recorded and from when they were applied, whichever is later; null keeps them for ever. Keep them at least as long as an event can be delivered again: the retention of its topic.';
insert into outbox.inbox_settings default values;

-- Which member of a group applies a stream, on the clock of this database. The applying transaction takes the row
-- `for key share`, a takeover takes it `for update`: so a takeover waits for what is being committed, and what
-- comes after it finds another epoch.
create table outbox.consumer_lease (
    consumer text not null check (consumer <> '' and octet_length(consumer) <= 200),
    stream text not null check (stream <> '' and octet_length(stream) <= 1024),
    epoch bigint not null default 0 check (epoch >= 0),
    holder text,
    acquired_at timestamptz,
    expires_at timestamptz not null default '-infinity',
    primary key (consumer, stream)
) with (fillfactor = 50);
comment on table outbox.consumer_lease is 'One row per consumer group and stream. Each change of hands raises the epoch; an epoch never falls.';

-- The entry last passed. Its two halves are unsigned 64-bit numbers, hence numeric.
create table outbox.consumer_stream (
    consumer text not null,
    stream text not null,
    passed_batch numeric(20) not null check (passed_batch >= 0),
    passed_position numeric(20) not null check (passed_position >= 0),
    moved_at timestamptz not null default clock_timestamp(),
    primary key (consumer, stream)
) with (fillfactor = 10);
comment on table outbox.consumer_stream is 'How far a consumer group came on a stream: everything at or before this entry is finished. Only rises.';

create function outbox.refuse_fall() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'outbox.% of consumer % on stream % may only rise', tg_table_name, old.consumer, old.stream
        using errcode = 'check_violation';
end
$$;
create trigger epoch_rises before update on outbox.consumer_lease for each row
    when (new.epoch < old.epoch or (new.holder is distinct from old.holder and new.holder is not null and new.epoch = old.epoch))
    execute function outbox.refuse_fall();
create trigger passed_rises before update on outbox.consumer_stream for each row
    when ((new.passed_batch, new.passed_position) < (old.passed_batch, old.passed_position))
    execute function outbox.refuse_fall();

-- One row per consumer and event that is finished: the same event again has no second effect. The time it was recorded
-- travels with the event and never changes, so an id is unique although the table comes in days of it.
create table outbox.inbox (
    consumer text not null,
    source text not null,
    id text not null,
    recorded_at timestamptz not null,
    outcome text not null check (outcome in ('applied', 'dead', 'parked', 'skipped')),
    stream text not null,
    entry_id text not null,
    applied_at timestamptz not null default clock_timestamp(),
    primary key (consumer, source, id, recorded_at)
) partition by range (recorded_at);
comment on table outbox.inbox is 'Finished events by consumer, source and id. Old days are dropped whole (outbox.inbox_settings.keep).';

-- Events that do not say when they were recorded: not from our relay. Remembered from when they were applied.
create table outbox.inbox_foreign (
    consumer text not null,
    source text not null,
    id text not null,
    outcome text not null check (outcome in ('applied', 'dead', 'parked', 'skipped')),
    stream text not null,
    entry_id text not null,
    applied_at timestamptz not null default clock_timestamp(),
    primary key (consumer, source, id)
);
create index inbox_foreign_by_age on outbox.inbox_foreign (applied_at);

-- What failed and is tried again, so that neither a crash nor a takeover resets the count. Empty in good times.
create table outbox.consumer_failure (
    consumer text not null,
    stream text not null,
    entry_id text not null,
    attempts integer not null check (attempts > 0),
    first_failed_at timestamptz not null default clock_timestamp(),
    failed_at timestamptz not null default clock_timestamp(),
    retry_at timestamptz not null,
    error_class text not null,
    error text not null,
    primary key (consumer, stream, entry_id)
);

-- What was given up, whole: the fields of the entry as they came, name and value by turns.
create table outbox.dead_letter (
    number bigint generated always as identity primary key,
    consumer text not null,
    stream text not null,
    entry_id text not null,
    source text,
    id text,
    type text,
    key text,
    recorded_at timestamptz,
    entry_fields bytea[] not null,
    error_class text not null,
    error text not null,
    attempts integer not null check (attempts > 0),
    first_failed_at timestamptz not null,
    dead_at timestamptz not null default clock_timestamp(),
    unique (consumer, stream, entry_id),
    -- An entry that could be read names its event.
    check ((source is null) = (id is null))
);
comment on table outbox.dead_letter is 'Entries given up by a consumer. error may hold what the handler said; the view outbox_ops.dead_letters leaves it and the payload out.';
create index dead_letter_by_recorded_at on outbox.dead_letter (recorded_at);

-- Makes the day of `moment` if it is not there. By create and attach: `create … partition of` would wait for every open
-- transaction that applies. Call it outside such a transaction.
create function outbox.add_inbox_day(moment timestamptz) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
declare
    day date := (moment at time zone 'UTC')::date;
    name text := 'inbox_' || to_char(day, 'YYYYMMDD');
begin
    if day not between date '2000-01-01' and date '2999-12-31' then
        raise exception 'no day is made for %: it lies outside the years 2000 to 2999', moment using errcode = 'invalid_parameter_value';
    end if;
    if exists (select from pg_inherits where inhparent = 'outbox.inbox'::regclass and inhrelid = to_regclass('outbox.' || name)) then
        return;
    end if;
    perform pg_advisory_xact_lock(122550254464890);
    if exists (select from pg_inherits where inhparent = 'outbox.inbox'::regclass and inhrelid = to_regclass('outbox.' || name)) then
        return;
    end if;
    execute format('create table outbox.%I (like outbox.inbox including all)', name);
    execute format('alter table outbox.inbox attach partition outbox.%I for values from (%L) to (%L)',
        name, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
end
$$;

-- The days and whether each may go: recorded, applied and dead letters all older than `keep`.
create function outbox.inbox_days()
returns table (day date, name text, estimated_rows bigint, bytes bigint, kept_until timestamptz, droppable boolean)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    keep interval := (select s.keep from outbox.inbox_settings s);
    recent boolean;
begin
    for day, name, estimated_rows, bytes in
        select to_date(substring(c.relname from 7), 'YYYYMMDD'), c.relname::text, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid)
        from pg_inherits join pg_class c on c.oid = inhrelid
        where inhparent = 'outbox.inbox'::regclass order by c.relname
    loop
        kept_until := (day + 1)::timestamp at time zone 'UTC' + keep;
        droppable := coalesce(kept_until < clock_timestamp(), false)
            and not exists (select from outbox.dead_letter d
                            where d.recorded_at >= day::timestamp at time zone 'UTC' and d.recorded_at < (day + 1)::timestamp at time zone 'UTC');
        if droppable then
            execute format('select exists (select from outbox.%I where applied_at > $1)', name) into recent using clock_timestamp() - keep;
            droppable := not recent;
        end if;
        return next;
    end loop;
end
$$;

-- Drops what is droppable, at most `most` days, and forgets as many thousands of foreign ids. Waits for no one: beside a
-- busy consumer it gives up within the lock timeout and is called again later. Returns the number of days dropped.
create function outbox.forget_inbox(most integer default 10) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
    victim text;
    dropped integer := 0;
begin
    delete from outbox.inbox_foreign f
    where (f.consumer, f.source, f.id) in (
        select g.consumer, g.source, g.id from outbox.inbox_foreign g, outbox.inbox_settings s
        where g.applied_at < clock_timestamp() - s.keep order by g.applied_at limit most * 1000);
    for victim in select d.name from outbox.inbox_days() d where d.droppable order by d.day limit most loop
        execute format('drop table outbox.%I', victim);
        dropped := dropped + 1;
    end loop;
    return dropped;
exception
    when lock_not_available then
        return 0;
end
$$;

do $$
declare
    object text;
begin
    foreach object in array array['inbox_settings', 'consumer_lease', 'consumer_stream', 'inbox', 'inbox_foreign', 'consumer_failure', 'dead_letter'] loop
        execute format('alter table outbox.%I owner to outbox_maintainer', object);
    end loop;
end
$$;
alter function outbox.refuse_fall owner to outbox_maintainer;
alter function outbox.add_inbox_day owner to outbox_maintainer;
alter function outbox.inbox_days owner to outbox_maintainer;
alter function outbox.forget_inbox owner to outbox_maintainer;
revoke execute on function outbox.add_inbox_day, outbox.inbox_days, outbox.forget_inbox from public;

grant select on outbox.inbox_settings to outbox_consumer, outbox_observer;
grant select, insert, update on outbox.consumer_lease, outbox.consumer_stream to outbox_consumer;
grant select, insert, update, delete on outbox.consumer_failure to outbox_consumer;
-- Finished is finished: a consumer adds, it neither changes nor removes.
grant select, insert on outbox.inbox, outbox.inbox_foreign, outbox.dead_letter to outbox_consumer;
grant execute on function outbox.add_inbox_day, outbox.inbox_days, outbox.forget_inbox to outbox_consumer;
grant execute on function outbox.inbox_days to outbox_observer;
