-- The ledger: which rows are in which batch, as facts that are cut once, and how far each stream has come.
-- Batches, shares and progress are append-only and pieced like the log; only leases are updated, at most once a second.

-- Who may cut batches (`tail`) and who may publish (`publish`), on the clock of this database.
create table outbox.lease (
    name text primary key,
    epoch bigint not null default 0 check (epoch >= 0),
    holder text,
    acquired_at timestamptz,
    expires_at timestamptz not null default '-infinity'
) with (fillfactor = 50);
comment on table outbox.lease is 'One row per right. Each change of hands raises the epoch; an epoch never falls.';
insert into outbox.lease (name) values ('tail'), ('publish');

create function outbox.keep_epoch_rising() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if new.epoch < old.epoch or (new.holder is distinct from old.holder and new.holder is not null and new.epoch = old.epoch) then
        raise exception 'lease %: epoch % held by % cannot become epoch % held by %', old.name, old.epoch, old.holder, new.epoch, new.holder
            using errcode = 'check_violation';
    end if;
    return new;
end
$$;
create trigger epoch_rises before update on outbox.lease for each row execute function outbox.keep_epoch_rising();

-- A stretch of history of one physical database. A dump loaded elsewhere or a logical upgrade has another identity:
-- its snapshots mean nothing there, so the relay refuses to go on until a person opens a new era.
create table outbox.era (
    era integer primary key check (era > 0),
    system_identifier bigint not null,
    timeline integer not null,
    position_floor bigint not null,
    opened_at timestamptz not null default clock_timestamp()
);
insert into outbox.era
select 1, system.system_identifier, checkpoint.timeline_id, 0
from pg_catalog.pg_control_system() system, pg_catalog.pg_control_checkpoint() checkpoint;

-- One chain: number is previous + 1 and unique, so two leaders cannot fork it. A batch is what is visible in `snapshot`
-- and was not in the snapshot of the row before.
create table outbox.batch (
    number bigint not null primary key check (number >= 0),
    batch_id bigint not null check (batch_id >= number),
    kind text not null default 'cut' check (kind in ('genesis', 'cut', 'reissue')),
    era integer not null,
    epoch bigint not null,
    snapshot pg_snapshot not null,
    event_count bigint not null check (event_count >= 0),
    first_position bigint not null,
    last_position bigint not null,
    cut_at timestamptz not null default clock_timestamp(),
    check (last_position >= first_position)
) partition by range (number);
comment on table outbox.batch is 'The ledger. batch_id is the first part of the entry ids on the streams.';
-- A mark at the sink is looked up by it.
create index batch_by_id on outbox.batch (batch_id);
select outbox.lay_pieces('outbox.batch', 0, 262144, 4);

create function outbox.keep_one_chain() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    previous outbox.batch;
begin
    select * into previous from outbox.batch order by number desc limit 1;
    if new.number <> coalesce(previous.number + 1, 0) or new.batch_id <= coalesce(previous.batch_id, -1) then
        -- The same state as a duplicate number: somebody else holds this place in the chain.
        raise exception 'batch % (id %) does not follow batch % (id %)', new.number, new.batch_id, previous.number, previous.batch_id
            using errcode = 'unique_violation';
    end if;
    if previous.number is not null and pg_snapshot_xmax(new.snapshot) < pg_snapshot_xmax(previous.snapshot) then
        raise exception 'batch % has an older snapshot (%) than batch % (%)', new.number, new.snapshot, previous.number, previous.snapshot
            using errcode = 'check_violation', hint = 'Postgres went back in time: see outbox-relay check.';
    end if;
    return new;
end
$$;
create trigger one_chain before insert on outbox.batch for each row execute function outbox.keep_one_chain();
-- Before the first batch nothing was visible: every transaction id is at least 3.
insert into outbox.batch values (0, 0, 'genesis', 1, 0, '3:3:', 0, 0, 0);

-- What of a batch goes to which stream.
create table outbox.share (
    batch_number bigint not null,
    topic text not null,
    partition integer not null default 0,
    event_count bigint not null check (event_count > 0),
    first_position bigint not null,
    last_position bigint not null check (last_position >= first_position),
    -- Where the rows of new transactions begin; null if all are of transactions that were open at the batch before.
    -- Without it a late row with an old position would have the whole log between read again.
    first_new_position bigint,
    primary key (topic, partition, batch_number)
) partition by range (batch_number);
select outbox.lay_pieces('outbox.share', 0, 262144, 4);

-- How far a stream has come: through `position` of batch `batch_number`. The chain is the entry last put on the stream,
-- which differs from it after an event was skipped by hand. The greatest row counts.
create sequence outbox.progress_number as bigint cache 1;
create table outbox.progress (
    number bigint not null default nextval('outbox.progress_number'),
    topic text not null,
    partition integer not null default 0,
    batch_number bigint not null,
    position bigint not null,
    chain_batch_id bigint not null,
    chain_position bigint not null,
    epoch bigint not null,
    recorded_at timestamptz not null default clock_timestamp()
) partition by range (number);
create index progress_of_stream on outbox.progress (topic, partition, batch_number, position);
select outbox.lay_pieces('outbox.progress', 0, 262144, 4);

-- What people and the relay decided about a stream; the latest row is its state. Set aside: it waits for a person.
-- Blocked: the sink refuses the whole stream (wrong type, no permission); the relay tries again by itself.
create table outbox.stream_action (
    number bigint generated always as identity primary key,
    topic text not null,
    partition integer not null default 0,
    action text not null check (action in ('set_aside', 'blocked', 'unblocked', 'resume', 'skip')),
    batch_number bigint,
    position bigint,
    event_id uuid,
    reason text not null check (reason <> ''),
    actor text not null default session_user,
    acted_at timestamptz not null default clock_timestamp()
);
create index stream_action_of_stream on outbox.stream_action (topic, partition, number);
comment on table outbox.stream_action is 'Audit of streams set aside by the relay and resumed or skipped past by a person; the latest row of a stream is its state.';

-- Events a person skipped: whole, so that they can still be delivered by hand after the log dropped them.
create table outbox.unpublished (
    position bigint primary key,
    topic text not null,
    id uuid not null,
    source text not null,
    type text not null,
    key text,
    event jsonb not null,
    reason text not null,
    actor text not null default session_user,
    skipped_at timestamptz not null default clock_timestamp()
);
comment on table outbox.unpublished is 'The dead letters of the relay: events skipped by hand because the sink will never take them.';

-- Relay processes that were seen, leading or not.
create table outbox.relay (
    instance text primary key,
    host text not null,
    process_id integer not null,
    version text not null,
    started_at timestamptz not null,
    seen_at timestamptz not null,
    state text not null,
    reason text
) with (fillfactor = 50);

create trigger append_only before update or delete on outbox.batch for each row execute function outbox.refuse_change();
create trigger append_only before update or delete on outbox.share for each row execute function outbox.refuse_change();
create trigger append_only before update or delete on outbox.progress for each row execute function outbox.refuse_change();
create trigger append_only before update or delete on outbox.stream_action for each row execute function outbox.refuse_change();

alter function outbox.keep_epoch_rising owner to outbox_maintainer;
alter function outbox.keep_one_chain owner to outbox_maintainer;
alter sequence outbox.progress_number owner to outbox_maintainer;
do $$
declare
    owned regclass;
begin
    foreach owned in array array['outbox.lease', 'outbox.era', 'outbox.stream_action', 'outbox.unpublished', 'outbox.relay']::regclass[] loop
        execute format('alter table %s owner to outbox_maintainer', owned);
    end loop;
    for owned in select relid from unnest(array['outbox.batch', 'outbox.share', 'outbox.progress']::regclass[]) parent,
                      lateral pg_catalog.pg_partition_tree(parent) loop
        execute format('alter table %s owner to outbox_maintainer', owned);
    end loop;
end
$$;

grant select, update on outbox.lease to outbox_relay;
grant select, insert on outbox.batch, outbox.share, outbox.progress to outbox_relay;
grant select, insert on outbox.stream_action to outbox_relay;
grant select on outbox.era, outbox.unpublished to outbox_relay;
grant select, insert, update, delete on outbox.relay to outbox_relay;
grant usage on sequence outbox.progress_number to outbox_relay;
grant select on outbox.lease, outbox.era, outbox.batch, outbox.share, outbox.progress, outbox.stream_action, outbox.relay to outbox_observer;
