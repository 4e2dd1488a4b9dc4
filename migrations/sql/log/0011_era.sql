-- A database that went back in time: what was found, what a person chose, and the era that begins with it.
-- An era begins with a row of the ledger whose share of each stream is everything that is not on it yet. Its snapshot is of the
-- server as it is now; what was appended before it stands below its position floor, whatever its transaction ids are, and is not
-- looked at by later cuts.

alter table outbox.batch drop constraint batch_kind_check;
alter table outbox.batch add constraint batch_kind_check check (kind in ('genesis', 'cut', 'moved', 'reissue', 'era'));
comment on column outbox_ops.batches.kind is '`cut` from the log; `moved`: a topic has more partitions from here on; `reissue`; or `era`: a person opened a new era, and everything that was on no stream yet is in it.';

-- The first era has none of these.
alter table outbox.era add column batch_number bigint not null default 0;
alter table outbox.era add column batch_id bigint not null default 0;
-- Rows above it were in no batch when the era began. In the era before, snapshots tell only of rows up to here.
alter table outbox.era add column cut_through bigint not null default 0;
comment on table outbox.era is 'Stretches of history of one physical database, with the row of the ledger that each began with. Rows up to position_floor were appended before it.';

-- Which rows an era''s share has: those of its stream but for what is visible in one of the snapshots and not above the position
-- beside it.
create table outbox.era_share (
    batch_number bigint not null,
    topic text not null,
    partition integer not null,
    passed_snapshots pg_snapshot[] not null,
    passed_positions bigint[] not null,
    primary key (batch_number, topic, partition),
    check (cardinality(passed_snapshots) = cardinality(passed_positions))
);
comment on table outbox.era_share is 'How the rows of an era''s first shares are told. Append-only.';
comment on column outbox.era_share.partition is '0: the stream without a number; n + 1: partition n.';

-- A standby that was promoted goes on by itself if it has everything; that it did is to be seen.
create table outbox.timeline (
    era integer not null,
    timeline integer not null,
    batch_number bigint not null,
    seen_at timestamptz not null default clock_timestamp(),
    primary key (era, timeline)
);
comment on table outbox.timeline is 'Timelines on which a relay led, and the end of the ledger when it first did. Append-only.';

-- What a person did about a database and streams that do not agree.
create table outbox.recovery (
    number bigint generated always as identity primary key,
    strategy text not null check (strategy in ('continue', 'trust-database', 'trust-stream', 'republish')),
    reason text not null check (reason <> ''),
    actor text not null default session_user,
    -- begun: entries are being kept, and taken off; opened: the era is there; done: the marks say so.
    state text not null default 'begun' check (state in ('begun', 'opened', 'done')),
    era integer,
    -- What was seen on both sides when it began.
    found jsonb not null,
    begun_at timestamptz not null default clock_timestamp(),
    opened_at timestamptz,
    done_at timestamptz
);
comment on table outbox.recovery is 'Audit of outbox-relay recover apply: who chose what and why, what was seen on both sides, and how far it came.';

-- Entries that were on streams and that the database did not know, whole.
create table outbox.unknown_entry (
    stream text not null,
    batch_id bigint not null,
    position bigint not null,
    recovery bigint not null references outbox.recovery,
    topic text not null,
    partition integer not null,
    event_id text,
    -- Names and values of the entry''s fields, as they were.
    names text[] not null,
    contents bytea[] not null,
    -- removed from the stream, or accepted: they stay.
    fate text not null check (fate in ('removed', 'accepted')),
    kept_at timestamptz not null default clock_timestamp(),
    primary key (stream, batch_id, position),
    check (cardinality(names) = cardinality(contents))
);
create index unknown_entry_of_event on outbox.unknown_entry (event_id);
comment on table outbox.unknown_entry is 'Entries that streams held and this database did not know when it went back in time: kept whole, with payload.';
comment on column outbox.unknown_entry.partition is '0: the stream without a number; n + 1: partition n.';

create trigger append_only before update or delete on outbox.era_share for each row execute function outbox.refuse_change();
create trigger append_only before update or delete on outbox.timeline for each row execute function outbox.refuse_change();

create or replace function outbox.keep_one_chain() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    previous outbox.batch;
    floor bigint;
begin
    select * into previous from outbox.batch order by number desc limit 1;
    if new.number <> coalesce(previous.number + 1, 0) or new.batch_id <= coalesce(previous.batch_id, -1) then
        -- The same state as a duplicate number: somebody else holds this place in the chain.
        raise exception 'batch % (id %) does not follow batch % (id %)', new.number, new.batch_id, previous.number, previous.batch_id
            using errcode = 'unique_violation';
    end if;
    if new.kind <> 'era' and previous.number is not null and pg_snapshot_xmax(new.snapshot) < pg_snapshot_xmax(previous.snapshot) then
        raise exception 'batch % has an older snapshot (%) than batch % (%)', new.number, new.snapshot, previous.number, previous.snapshot
            using errcode = 'check_violation', hint = 'Postgres went back in time: see outbox-relay recover inspect.';
    end if;
    -- A relay from before partitions would put events behind the end of their old stream.
    if new.layouts is null and new.kind = 'cut' and exists (select from outbox.topic_layout) then
        raise exception 'a topic has partitions, and this relay knows of none: run the version that belongs to this schema'
            using errcode = 'undefined_column';
    end if;
    if new.kind = 'cut' then
        select e.position_floor into floor from outbox.era e order by e.era desc limit 1;
        -- A relay from before eras would cut again what was appended before this one.
        if new.first_position <= floor then
            raise exception 'batch % begins at position %, and this era at %: run the version that belongs to this schema', new.number, new.first_position, floor
                using errcode = 'undefined_column';
        end if;
    end if;
    return new;
end
$$;

-- As before, and only rows of this era.
create function outbox.partition_shares(xmax text, open text[], layouts jsonb, floor bigint) returns table (
    topic text, partition integer, event_count bigint, first_position bigint, last_position bigint, first_new_position bigint
)
language plpgsql stable rows 8
set search_path = pg_catalog, pg_temp set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
begin
    return query
        select arrived.topic, 1 + outbox.partition_of(coalesce(arrived.key, arrived.id::text), (layouts -> 'partitions' ->> arrived.topic)::integer),
               count(*), min(arrived.position), max(arrived.position), min(arrived.position) filter (where arrived.is_new)
        from (
            select l.topic, l.key, l.id, l.position, true as is_new from outbox.log l
            where l.transaction_id >= partition_shares.xmax::xid8 and l.position > floor
            union all
            select l.topic, l.key, l.id, l.position, false from outbox.log l
            where l.transaction_id = any(open::xid8[]) and l.position > floor
        ) arrived
        where layouts -> 'partitions' ? arrived.topic
        group by 1, 2;
end
$$;

-- How the rows of a stream behind an entry are told, whatever era the entry is of: snapshots, and the positions up to which what
-- they see stands before it. $5: rows above were in no batch. Null: the ledger does not have the entry.
create function outbox.behind_entry(topic text, partition integer, batch_id bigint, "position" bigint, cut_through bigint,
                                    out passed_snapshots pg_snapshot[], out passed_positions bigint[])
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    all_of_it constant pg_snapshot := '9223372036854775807:9223372036854775807:';
    kept outbox.batch;
    again outbox.reissue;
    base pg_snapshot;
    base_era integer;
    era_floor bigint;
    era_end bigint;
begin
    if behind_entry.batch_id = 0 then
        passed_snapshots := array[all_of_it];
        passed_positions := array[0];
        return;
    end if;
    select b.* into kept from outbox.batch b where b.batch_id = behind_entry.batch_id;
    if kept.number is null then
        return;
    end if;
    if kept.kind = 'era' then
        select s.passed_snapshots || all_of_it, s.passed_positions || behind_entry.position into passed_snapshots, passed_positions
        from outbox.era_share s
        where s.batch_number = kept.number and s.topic = behind_entry.topic and s.partition = behind_entry.partition;
        return;
    end if;
    select r.* into again from outbox.reissue r
    where r.batch_number = kept.number and r.topic = behind_entry.topic and r.partition = behind_entry.partition;
    if again.batch_number is not null then
        base := again.base;
        select b.era into base_era from outbox.batch b where b.number = again.base_number;
    else
        select b.snapshot, kept.era into base, base_era from outbox.batch b where b.number = kept.number - 1;
    end if;
    select e.position_floor into era_floor from outbox.era e where e.era = coalesce(base_era, kept.era);
    select e.cut_through into era_end from outbox.era e where e.era = coalesce(base_era, kept.era) + 1;
    passed_snapshots := array[all_of_it, coalesce(base, '3:3:')] || coalesce(again.passed_snapshots, '{}') || kept.snapshot;
    passed_positions := array[era_floor, coalesce(era_end, behind_entry.cut_through)] || coalesce(again.passed_positions, '{}') || behind_entry.position;
end
$$;

-- Opens an era, in one transaction: everything that is on no stream yet becomes the first share of its stream. `streams`: those that
-- go on behind an entry other than the one that the progress says, or that must be put out with fresh ids:
-- [{"topic", "partition", "behind": [batch id, position], "chain": [batch id, position], "there": whether it is on the stream}].
-- `above`: batch ids and positions up to these were seen at the sink. The caller holds the leases and bounds the wait for the lock.
create function outbox.open_era(recovery bigint, epoch bigint, above_batch_id bigint, above_position bigint, streams jsonb,
                                out era integer, out batch_number bigint, out batch_id bigint, out events bigint)
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
declare
    all_of_it constant pg_snapshot := '9223372036854775807:9223372036854775807:';
    previous outbox.batch;
    before outbox.era;
    now_snapshot pg_snapshot;
    through bigint;
    floor bigint;
    refused text;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'an era is opened in a read committed transaction: others'' rows must be seen once the lock is ours' using errcode = 'invalid_parameter_value';
    end if;
    perform set_config('synchronous_commit', 'on', true);
    perform set_config('lock_timeout', '2s', true);
    -- Who appends waits; who has appended has ended. What is appended from here on has a position above the floor.
    lock table only outbox.log in share row exclusive mode;
    select b.* into previous from outbox.batch b order by b.number desc limit 1;
    select e.* into before from outbox.era e order by e.era desc limit 1;
    now_snapshot := pg_current_snapshot();
    select greatest(coalesce(max(b.last_position) filter (where b.kind = 'cut'), 0), before.position_floor) into through from outbox.batch b;
    floor := greatest((select s.last_value from outbox.log_position s), above_position, through,
                      (select max(e.position) from outbox.unknown_entry e where e.recovery = open_era.recovery));
    perform setval('outbox.log_position', greatest(floor, 1));
    era := before.era + 1;
    batch_number := previous.number + 1;
    batch_id := greatest(previous.batch_id + 1, above_batch_id + 1, (extract(epoch from clock_timestamp()) * 1000)::bigint);

    -- A stream of an earlier layout takes nothing more: what it has not had cannot come behind its end.
    select s.topic into refused
    from jsonb_to_recordset(streams) s (topic text, partition integer)
    join lateral (select l.batch_number, l.partitions from outbox.topic_layout l where l.topic = s.topic order by l.generation desc limit 1) layout on true
    cross join lateral (
        select max(a.batch_number) as batch_number from outbox.share a
        where a.topic = s.topic and a.partition = s.partition and a.batch_number <= layout.batch_number
    ) ahead
    left join lateral (
        select p.batch_number, p.position from outbox.progress p
        where p.topic = s.topic and p.partition = s.partition order by p.batch_number desc, p.position desc limit 1
    ) passed on true
    where ahead.batch_number > coalesce(passed.batch_number, 0)
    limit 1;
    if refused is not null then
        raise exception 'topic % got more partitions while an earlier stream of it had events to publish: they cannot come behind its end', refused
            using errcode = 'object_not_in_prerequisite_state', hint = 'Publish to another redis.prefix, and have its consumers rebuild.';
    end if;

    create temporary table era_stream on commit drop as
    select s.topic, s.partition, s.chain, s.there, coalesce(layout.partitions, 1) as partitions,
           told.passed_snapshots, told.passed_positions
    from jsonb_to_recordset(streams) s (topic text, partition integer, behind bigint[], chain bigint[], there boolean)
    left join lateral (select l.batch_id, l.partitions from outbox.topic_layout l where l.topic = s.topic order by l.generation desc limit 1) layout on true
    -- Of the present layout only: what is of an earlier one was passed.
    cross join lateral outbox.behind_entry(s.topic, s.partition, greatest(s.behind[1], coalesce(layout.batch_id, 0)),
                                           case when s.behind[1] >= coalesce(layout.batch_id, 0) then s.behind[2] else 0 end, through) told;
    -- The ledger does not have the entry any more: then it has nothing to publish behind it either but what is in no batch.
    update pg_temp.era_stream set passed_snapshots = array[all_of_it, previous.snapshot], passed_positions = array[before.position_floor, through]
    where passed_snapshots is null;

    create temporary table era_row on commit drop as
    with fresh as (
        select l.topic, l.key, l.id, l.position from outbox.log l
        where l.transaction_id >= pg_snapshot_xmax(previous.snapshot) and l.position > before.position_floor
        union all
        select l.topic, l.key, l.id, l.position from pg_snapshot_xip(previous.snapshot) late, outbox.log l
        where l.transaction_id = late and l.position > before.position_floor
        union all
        -- Appended with ids that the last snapshot took for old: it is of another server.
        select l.topic, l.key, l.id, l.position from outbox.log l
        where l.position > through and pg_visible_in_snapshot(l.transaction_id, previous.snapshot)
    ), placed as (
        select fresh.topic, fresh.position,
               case when layout.partitions is null then 0 else 1 + outbox.partition_of(coalesce(fresh.key, fresh.id::text), layout.partitions) end as partition
        from fresh
        left join lateral (select l.partitions from outbox.topic_layout l where l.topic = fresh.topic order by l.generation desc limit 1) layout on true
    )
    select placed.topic, placed.partition, placed.position from placed
    where not exists (select from pg_temp.era_stream s where s.topic = placed.topic and s.partition = placed.partition)
    union all
    select s.topic, s.partition, l.position
    from pg_temp.era_stream s
    join outbox.log l on l.topic = s.topic
    -- A stream of an earlier layout takes nothing more.
    where case s.partitions when 1 then s.partition = 0 else 1 + outbox.partition_of(coalesce(l.key, l.id::text), s.partitions) = s.partition end
      and not exists (select from unnest(s.passed_snapshots, s.passed_positions) passed (snapshot, "position")
                      where l.position <= passed.position and pg_visible_in_snapshot(l.transaction_id, passed.snapshot));
    delete from pg_temp.era_row r using outbox.unpublished u where u.position = r.position;

    select count(*) into events from pg_temp.era_row;
    insert into outbox.batch (number, batch_id, kind, era, epoch, snapshot, event_count, first_position, last_position, layouts)
    select open_era.batch_number, open_era.batch_id, 'era', open_era.era, open_era.epoch, now_snapshot, events,
           coalesce(min(r.position), previous.last_position), coalesce(max(r.position), previous.last_position),
           (select count(*) from outbox.topic_layout)
    from pg_temp.era_row r;
    insert into outbox.era (era, system_identifier, timeline, position_floor, batch_number, batch_id, cut_through)
    select open_era.era, system.system_identifier, ('x' || substring(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer,
           floor, open_era.batch_number, open_era.batch_id, through
    from pg_catalog.pg_control_system() system;
    insert into outbox.topic (name) select distinct r.topic from pg_temp.era_row r on conflict do nothing;
    insert into outbox.share (batch_number, topic, partition, event_count, first_position, last_position, first_new_position)
    select open_era.batch_number, r.topic, r.partition, count(*), min(r.position), max(r.position), min(r.position)
    from pg_temp.era_row r group by r.topic, r.partition;
    insert into outbox.era_share (batch_number, topic, partition, passed_snapshots, passed_positions)
    select open_era.batch_number, r.topic, r.partition,
           coalesce(s.passed_snapshots, array[all_of_it, previous.snapshot]),
           coalesce(s.passed_positions, array[before.position_floor, through])
    from (select distinct d.topic, d.partition from pg_temp.era_row d) r
    left join pg_temp.era_stream s on s.topic = r.topic and s.partition = r.partition;
    insert into outbox.progress (topic, partition, batch_number, position, chain_batch_id, chain_position, epoch)
    select s.topic, s.partition, open_era.batch_number, coalesce(share.first_position, 1) - 1, s.chain[1], s.chain[2], open_era.epoch
    from pg_temp.era_stream s
    left join outbox.share share on share.topic = s.topic and share.partition = s.partition and share.batch_number = open_era.batch_number;
    -- What the chain goes on behind is on the stream no more, and nobody needs it there.
    insert into outbox.trim_floor (topic, partition, batch_id, position, cause, epoch)
    select s.topic, s.partition, open_era.batch_id, 0, 'retention', open_era.epoch from pg_temp.era_stream s where not s.there and s.chain[1] > 0;
    insert into outbox.stream_action (topic, partition, action, batch_number, position, reason)
    select s.topic, s.partition, 'resume', open_era.batch_number, 0, format('era %s was opened by recovery %s', open_era.era, open_era.recovery)
    from pg_temp.era_stream s
    where (select latest.action from outbox.stream_action latest
           where latest.topic = s.topic and latest.partition = s.partition order by latest.number desc limit 1) in ('set_aside', 'lost');
    update outbox.recovery r set state = 'opened', era = open_era.era, opened_at = clock_timestamp() where r.number = open_era.recovery;
end
$$;

-- As before, and of what is in no batch only rows of this era.
create or replace function outbox.backlog() returns table (topic text, partition integer, events bigint, exact boolean, oldest_recorded_at timestamptz)
language sql stable security definer cost 1000 rows 20
set search_path = pg_catalog, pg_temp set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
    -- Rows that no batch holds yet: the two arms of the tail against the newest snapshot of the ledger.
    with head as (
        select b.snapshot, (select e.position_floor from outbox.era e order by e.era desc limit 1) as floor
        from outbox.batch b order by b.number desc limit 1
    ), fresh as (
        select new.topic, new.key, new.id, new.recorded_at
        from head, lateral (select l.topic, l.key, l.id, l.recorded_at from outbox.log l
                            where l.transaction_id >= pg_snapshot_xmax(head.snapshot) and l.position > head.floor order by l.transaction_id, l.position limit 10000) new
        union all
        select late.topic, late.key, late.id, late.recorded_at
        from head, pg_snapshot_xip(head.snapshot) open_then,
             lateral (select l.topic, l.key, l.id, l.recorded_at from outbox.log l
                      where l.transaction_id = open_then and l.position > head.floor order by l.position limit 10000) late
    ), placed as (
        -- The next cut lays first what a topic should have.
        select fresh.topic, fresh.recorded_at,
               coalesce(1 + outbox.partition_of(coalesce(fresh.key, fresh.id::text), t.partitions), 0) as partition
        from fresh left join outbox.topic t on t.name = fresh.topic and t.partitions > 1
    ), uncut as (
        select placed.topic, placed.partition, count(*) as events, min(placed.recorded_at) as oldest from placed group by placed.topic, placed.partition
    ), cut as (
        select t.topic, t.partition, sum(pending.events)::bigint as events, min(pending.recorded_at) as oldest,
               bool_and(pending.whole) as whole
        from outbox.topic_stream t
        left join lateral (select p.batch_number, p.position from outbox.progress p where p.topic = t.topic and p.partition = t.partition
                           order by p.batch_number desc, p.position desc limit 1) passed on true
        cross join lateral (
                select s.event_count as events,
                       (select l.recorded_at from outbox.log l where l.topic = t.topic and l.position = s.first_position) as recorded_at,
                       true as whole
                from outbox.share s
                where s.topic = t.topic and s.partition = t.partition and s.batch_number > coalesce(passed.batch_number, -1)
                  and s.first_position > 0
                union all
                -- The share in progress: what is left of it by position.
                select ceil(s.event_count * (s.last_position - passed.position)::numeric / (s.last_position - s.first_position + 1)),
                       (select l.recorded_at from outbox.log l where l.topic = t.topic and l.position = passed.position),
                       false
                from outbox.share s
                where s.topic = t.topic and s.partition = t.partition and s.batch_number = passed.batch_number
                  and s.last_position > passed.position) pending
        group by t.topic, t.partition
    )
    select topic,
           partition,
           coalesce(cut.events, 0) + coalesce(uncut.events, 0),
           coalesce(cut.whole, true) and (select count(*) from fresh) < 10000,
           least(cut.oldest, uncut.oldest)
    from cut full join uncut using (topic, partition)
$$;

create view outbox_ops.recoveries as
    select recovery.number, recovery.strategy, recovery.state, recovery.era, recovery.reason, recovery.actor,
           (select count(*) from outbox.unknown_entry e where e.recovery = recovery.number and e.fate = 'removed') as entries_removed,
           (select count(*) from outbox.unknown_entry e where e.recovery = recovery.number and e.fate = 'accepted') as entries_accepted,
           recovery.begun_at, recovery.opened_at, recovery.done_at
    from outbox.recovery recovery
    order by recovery.number desc
    limit 1000;
comment on view outbox_ops.recoveries is 'What people did about a database and streams that did not agree, newest first.';
comment on column outbox_ops.recoveries.number is 'Its number.';
comment on column outbox_ops.recoveries.strategy is '`continue`, `trust-database`, `trust-stream` or `republish`.';
comment on column outbox_ops.recoveries.state is '`begun`: interrupted, or at work; `opened`: the new era is there, the marks beside the streams are not all written; `done`.';
comment on column outbox_ops.recoveries.era is 'The era that it opened.';
comment on column outbox_ops.recoveries.reason is 'Why.';
comment on column outbox_ops.recoveries.actor is 'Who did it.';
comment on column outbox_ops.recoveries.entries_removed is 'Entries that the database did not know and that were taken off their streams; kept in outbox.unknown_entry.';
comment on column outbox_ops.recoveries.entries_accepted is 'Entries that the database did not know and that stayed on their streams; kept in outbox.unknown_entry as well.';
comment on column outbox_ops.recoveries.begun_at is 'When it began.';
comment on column outbox_ops.recoveries.opened_at is 'When the new era was opened.';
comment on column outbox_ops.recoveries.done_at is 'When it was done.';

alter view outbox_ops.recoveries owner to outbox_maintainer;
do $$
declare
    made text;
    function regprocedure;
begin
    foreach made in array array['era_share', 'timeline', 'recovery', 'unknown_entry'] loop
        execute format('alter table outbox.%I owner to outbox_maintainer', made);
    end loop;
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('partition_shares', 'behind_entry', 'open_era') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
grant execute on function outbox.partition_shares(text, text[], jsonb, bigint) to outbox_relay;
grant select on outbox.era_share, outbox.recovery to outbox_relay, outbox_observer;
grant select, insert on outbox.timeline to outbox_relay;
grant select on outbox.timeline to outbox_observer;
grant select on outbox_ops.recoveries to outbox_observer, outbox_relay;
