-- What waits: events of a key that cannot be applied now are kept here, in their order, while every other key goes on.
-- One row of parked_lane per key that waits; its row is the lock. Events join under `for key share` (each with a higher
-- place, so they need not wait for a slow handler), the first ones are applied under `for no key update`, and whoever puts
-- events in front, or takes the row away when none is left, holds it `for update`.

-- A consumer group as such, and which of its processes were seen.
create table outbox.consumer (
    name text primary key check (name <> '' and octet_length(name) <= 200),
    created_at timestamptz not null default clock_timestamp(),
    paused_at timestamptz,
    paused_by text,
    paused_reason text,
    -- Ids recorded before this were dropped from the inbox after this group began: of an older event that comes again
    -- nobody can say whether it had its effect.
    forgotten_until timestamptz,
    check ((paused_at is null) = (paused_by is null) and (paused_at is null) = (paused_reason is null))
);
comment on table outbox.consumer is 'Consumer groups of this database. Paused: nothing of it is applied until a person resumes it.';
insert into outbox.consumer (name) select distinct consumer from outbox.consumer_lease;

create table outbox.consumer_member (
    consumer text not null,
    member text not null,
    host text not null,
    process_id integer not null,
    version text not null,
    started_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    -- What it has handlers for: others leave it no stream of another topic.
    topics text[] not null default '{}',
    -- Given for a static assignment; null takes part in the fair spread.
    partitions integer[],
    primary key (consumer, member)
) with (fillfactor = 50);
comment on table outbox.consumer_member is 'Processes of consumer groups, by when they were last seen.';

-- The line a waiting event stands in: a key of a topic (of one writer), or the event alone if it has no key.
create table outbox.parked_lane (
    consumer text not null,
    -- The topic, with @writer where several databases write it: partitions of one topic share their keys' lines.
    flow text not null check (flow <> ''),
    -- 'k' and the key, or 'e' and the entry id of an event without one.
    lane text not null check (lane ~ '^[ke]'),
    state text not null check (state in ('retrying', 'waiting_version', 'dead', 'draining')),
    -- The stream that an event came from last: its owner applies what waits.
    stream text not null,
    due_at timestamptz not null default 'infinity',
    parked_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    primary key (consumer, flow, lane),
    -- What waits for a person or for another version is never due.
    check ((state in ('retrying', 'draining')) = (due_at < 'infinity'))
) with (fillfactor = 50);
comment on table outbox.parked_lane is 'Keys that wait. retrying: the first event failed and is tried again when due. waiting_version: until a member knows its version. dead: the first one is a dead letter, those behind it wait. draining: going back, in order.';
-- Also for what is never due: a stream has an owner as long as anything waits that came from it.
create index parked_lane_by_due on outbox.parked_lane (consumer, stream, due_at);
create index parked_lane_by_version on outbox.parked_lane (consumer, stream) where state = 'waiting_version';

create sequence outbox.parked_place as bigint cache 1;
create table outbox.parked_event (
    consumer text not null,
    flow text not null,
    lane text not null,
    -- Order within the lane. An event that was dead and goes back has its old place again.
    place bigint not null default nextval('outbox.parked_place'),
    stream text not null,
    entry_id text not null,
    source text not null,
    id text not null,
    type text not null,
    schema_version text,
    key text,
    recorded_at timestamptz,
    -- The fields of the entry as they came, name and value by turns; edited ones if a person changed them.
    entry_fields bytea[] not null,
    attempts integer not null default 0 check (attempts >= 0),
    -- The failed attempts, oldest first, the last 20: [{"number", "failed_at", "seconds", "class", "error"}].
    history jsonb not null default '[]',
    first_failed_at timestamptz,
    -- The dead letter that it was, when it goes back.
    dead_letter bigint,
    parked_at timestamptz not null default clock_timestamp(),
    primary key (consumer, flow, lane, place),
    unique (consumer, source, id)
);
comment on table outbox.parked_event is 'Events that wait in their lane: in outbox.inbox their outcome is parked until they are applied or given up.';

-- Dead letters know their lane, their story and what became of them.
alter table outbox.dead_letter
    add column flow text not null default '',
    add column lane text not null default '',
    add column place bigint,
    add column state text not null default 'dead' check (state in ('dead', 'redriving', 'applied', 'discarded')),
    add column error_kind text not null default 'transient' check (error_kind in ('transient', 'poison', 'unreadable', 'too_old')),
    add column fingerprint text not null default '',
    add column history jsonb not null default '[]',
    add column schema_version text,
    -- What a person made of it; entry_fields stay what came.
    add column edited_fields bytea[],
    add column edited_at timestamptz,
    add column edited_by text,
    add column redrives integer not null default 0 check (redrives >= 0),
    add column changed_at timestamptz not null default clock_timestamp();
alter table outbox.dead_letter drop constraint dead_letter_consumer_stream_entry_id_key;
-- One open letter per entry; a letter that was redriven and died again is the same row.
create unique index dead_letter_by_entry on outbox.dead_letter (consumer, stream, entry_id);
create index dead_letter_by_fingerprint on outbox.dead_letter (consumer, fingerprint, number) where state = 'dead';
create index dead_letter_by_lane on outbox.dead_letter (consumer, flow, lane, dead_at desc, number desc) where state = 'dead';
create index dead_letter_by_event on outbox.dead_letter (id);

-- What people ask for, in bulk or one by one: written by outbox_operator through functions, carried out by the members.
create table outbox.operation (
    number bigint generated always as identity primary key,
    kind text not null check (kind in ('redrive', 'discard', 'seek')),
    consumer text not null,
    -- What was selected, as given.
    filter jsonb not null default '{}',
    reason text not null check (reason <> ''),
    actor text not null default session_user,
    -- Dead letters that go back per second; null for as fast as they are applied.
    rate double precision check (rate > 0),
    state text not null default 'running' check (state in ('running', 'cancelled', 'finished')),
    total bigint not null check (total >= 0),
    created_at timestamptz not null default clock_timestamp(),
    resumed_at timestamptz not null default clock_timestamp(),
    -- Up to when its rate is used up. What a standstill left unused is not made up for.
    released_until timestamptz not null default clock_timestamp(),
    finished_at timestamptz
);
comment on table outbox.operation is 'What operators asked for, with its progress in outbox.operation_item. A crash of whoever asked or carries out changes nothing: it goes on.';
create index operation_running on outbox.operation (consumer, number) where state = 'running';
create table outbox.operation_item (
    operation bigint not null references outbox.operation,
    -- Order of carrying out.
    place bigint not null,
    dead_letter bigint not null references outbox.dead_letter,
    state text not null default 'waiting' check (state in ('waiting', 'released', 'applied', 'dead', 'dropped')),
    -- Released into a key that a dead letter holds: it is not on its way until that one goes.
    in_line boolean not null default false,
    changed_at timestamptz not null default clock_timestamp(),
    primary key (operation, place)
);
create index operation_item_waiting on outbox.operation_item (operation, place) where state = 'waiting';
create index operation_item_released on outbox.operation_item (operation, in_line) where state = 'released';
create index operation_item_of_letter on outbox.operation_item (dead_letter);

-- Who did what, when and why. Append-only.
create table outbox.consumer_audit (
    number bigint generated always as identity primary key,
    acted_at timestamptz not null default clock_timestamp(),
    actor text not null default session_user,
    action text not null,
    consumer text not null,
    target jsonb not null default '{}',
    reason text not null check (reason <> '')
);
comment on table outbox.consumer_audit is 'Every change that a person made to a consumer: who, what, why. Append-only.';

create function outbox.refuse_rewrite() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'outbox.% is append-only: % refused', tg_table_name, lower(tg_op) using errcode = 'insufficient_privilege';
end
$$;
create trigger append_only before update or delete on outbox.consumer_audit for each row execute function outbox.refuse_rewrite();

-- What had its effect stays applied; what waits may still have it, be given up, or be dropped by a person. The transaction
-- that records an event as applied may still find that it fails, and park it: nobody has seen its row yet.
create function outbox.keep_outcome() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'event % of source % had its effect for consumer % and stays applied', old.id, old.source, old.consumer
        using errcode = 'check_violation';
end
$$;
create trigger outcome_stays before update on outbox.inbox for each row
    when (old.outcome = 'applied' and old.xmin <> pg_current_xact_id()::xid) execute function outbox.keep_outcome();
create trigger outcome_stays before update on outbox.inbox_foreign for each row
    when (old.outcome = 'applied' and old.xmin <> pg_current_xact_id()::xid) execute function outbox.keep_outcome();

-- A handler must not commit: its transaction also records the events, all of them. One row of the batch carries the
-- watch: at the commit the library must have said that the handlers are done. Costs one trigger call per transaction.
create function outbox.refuse_early_commit() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('outbox.applying', true) is distinct from 'done' then
        raise exception 'the handler committed the transaction that also records its event: nothing of it was kept'
            using errcode = 'invalid_transaction_termination', hint = 'Use savepoints, and leave the commit to the consumer.';
    end if;
    return null;
end
$$;
create constraint trigger no_early_commit after insert or update on outbox.inbox deferrable initially deferred for each row
    when (current_setting('outbox.watched', true) is not distinct from new.entry_id)
    execute function outbox.refuse_early_commit();
create constraint trigger no_early_commit after insert or update on outbox.inbox_foreign deferrable initially deferred for each row
    when (current_setting('outbox.watched', true) is not distinct from new.entry_id)
    execute function outbox.refuse_early_commit();

do $$
declare
    object text;
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'outbox_operator') then
        begin
            create role outbox_operator nologin;
        exception
            when duplicate_object or unique_violation then null;
            when insufficient_privilege then
                raise exception 'role outbox_operator does not exist and % may not create roles', current_user
                    using errcode = 'insufficient_privilege',
                          hint = 'as an administrator: create role outbox_operator nologin; then migrate again';
        end;
    end if;
    foreach object in array array['consumer', 'consumer_member', 'parked_lane', 'parked_event', 'operation', 'operation_item', 'consumer_audit'] loop
        execute format('alter table outbox.%I owner to outbox_maintainer', object);
    end loop;
    foreach object in array array['refuse_rewrite', 'keep_outcome', 'refuse_early_commit'] loop
        execute format('alter function outbox.%I owner to outbox_maintainer', object);
    end loop;
end
$$;
alter sequence outbox.parked_place owner to outbox_maintainer;
grant usage on sequence outbox.parked_place to outbox_consumer;
grant usage on schema outbox, outbox_ops to outbox_operator;
grant select, insert on outbox.consumer to outbox_consumer;
grant select, insert, update, delete on outbox.consumer_member, outbox.parked_lane, outbox.parked_event to outbox_consumer;
grant select on outbox.operation, outbox.consumer_audit to outbox_consumer;
grant update (state, finished_at) on outbox.operation to outbox_consumer;
grant select on outbox.operation_item to outbox_consumer;
grant update (state, changed_at) on outbox.operation_item to outbox_consumer;
grant update (outcome, applied_at) on outbox.inbox, outbox.inbox_foreign to outbox_consumer;
grant update (state, attempts, error_class, error, error_kind, fingerprint, history, dead_at, place, redrives, changed_at)
    on outbox.dead_letter to outbox_consumer;
grant select on outbox.consumer, outbox.consumer_member to outbox_observer, outbox_operator;
