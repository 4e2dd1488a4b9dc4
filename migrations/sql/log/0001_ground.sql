-- The ground: who may do what, the settings of this database, its topics and how long each is kept.
-- Roles belong to the cluster, so they may exist already; a second database migrating at this moment may win the race.

create schema if not exists outbox_ops;

do $$
declare
    wanted text;
begin
    foreach wanted in array array['outbox_producer', 'outbox_relay', 'outbox_maintainer', 'outbox_consumer', 'outbox_observer'] loop
        if not exists (select from pg_catalog.pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin', wanted);
            exception
                when duplicate_object or unique_violation then null;
                when insufficient_privilege then
                    raise exception 'role % does not exist and % may not create roles', wanted, current_user
                        using hint = format('as an administrator: create role %I nologin; grant outbox_maintainer to %I; then migrate again', wanted, current_user);
            end;
        end if;
    end loop;
    -- Who migrates hands the tables to the maintainer and must be a member to do so. A superuser needs no membership.
    if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user)
       and not pg_catalog.pg_has_role(current_user, 'outbox_maintainer', 'member') then
        execute format('grant outbox_maintainer to %I', current_user);
    end if;
    -- Seeing other sessions (who holds what back) needs this; without it the views show what the server lets them.
    -- Not for observers: it shows statements too, and payloads in them. The views look with the maintainer's right.
    begin
        grant pg_read_all_stats to outbox_relay, outbox_maintainer;
    exception
        when insufficient_privilege then
            raise notice 'outbox_relay and outbox_maintainer were not granted pg_read_all_stats: waiting transactions of other users will lack details, and upkeep cannot see which to wait for';
    end;
end
$$;

grant usage on schema outbox to outbox_producer, outbox_relay, outbox_maintainer, outbox_consumer, outbox_observer;
grant create on schema outbox to outbox_maintainer;
grant usage on schema outbox_ops to outbox_observer, outbox_relay, outbox_maintainer;
grant create on schema outbox_ops to outbox_maintainer;

-- One row: what holds for the whole database.
create table outbox.settings (
    only_row boolean primary key default true check (only_row),
    database_id uuid not null default gen_random_uuid(),
    source text not null default '/' || current_database() check (source <> ''),
    writer text check (writer ~ '^[A-Za-z0-9._-]{1,100}$'),
    payload_limit_bytes integer not null default 262144 check (payload_limit_bytes between 1 and 16777216)
);
comment on table outbox.settings is 'One row. database_id names this database at the sink; source is the default CloudEvents source; writer separates several writing databases of one topic; payload_limit_bytes bounds one payload (16 MiB is the hard stop).';
insert into outbox.settings default values;

-- How long a class of topics is kept. Null: for ever.
create table outbox.retention_class (
    name text primary key check (name ~ '^[a-z][a-z0-9_]{0,30}$'),
    keep interval check (keep > interval '0')
);
comment on table outbox.retention_class is 'How long events are kept after they were recorded; null keeps them for ever. Space comes back by dropping whole pieces of the log.';
insert into outbox.retention_class values ('standard', interval '7 days'), ('audit', interval '400 days'), ('durable', null);

-- A topic needs no registration; the relay adds what it sees. A row is needed only to leave the defaults.
create table outbox.topic (
    name text primary key check (name ~ '^[A-Za-z0-9._-]{1,200}$'),
    retention text not null default 'standard' references outbox.retention_class,
    partitions integer not null default 1 check (partitions = 1),
    created_at timestamptz not null default clock_timestamp()
);
comment on table outbox.topic is 'Topics seen so far and their retention class. A change of class holds for events appended afterwards.';

alter table outbox.settings owner to outbox_maintainer;
alter table outbox.retention_class owner to outbox_maintainer;
alter table outbox.topic owner to outbox_maintainer;
grant select on outbox.settings, outbox.retention_class, outbox.topic to outbox_producer, outbox_relay, outbox_observer;
grant insert on outbox.topic to outbox_relay;
