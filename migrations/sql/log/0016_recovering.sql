-- A recovery that goes on, or is given up. Whether it has begun to take entries off streams is recorded before the first one goes:
-- until then another strategy may be chosen, and from then on it can be given up by name and not by forgetting it.

alter table outbox.recovery drop constraint recovery_state_check;
alter table outbox.recovery add constraint recovery_state_check check (state in ('begun', 'opened', 'done', 'abandoned'));
-- From when on entries may be missing from their streams.
alter table outbox.recovery add column removing_at timestamptz;
alter table outbox.recovery add column abandoned_at timestamptz;
alter table outbox.recovery add column abandoned_by text;
alter table outbox.recovery add column abandoned_because text;
alter table outbox.recovery add constraint recovery_abandoned_by_somebody check (
    (state = 'abandoned') = (abandoned_at is not null and abandoned_by is not null and abandoned_because <> ''));
-- What a version before this one began may have.
update outbox.recovery set removing_at = begun_at where state = 'begun' and strategy in ('trust-database', 'republish');

-- How the rows of a stream are told that stand behind an entry that the ledger does not have. It is older than the ledger: what is of
-- the oldest batch still held has passed on every stream, or the one before it were still there. Or a person took it for true when
-- an era began: then the first of that era is what came next.
create function outbox.behind_unheld(topic text, partition integer, batch_id bigint, cut_through bigint,
                                     out passed_snapshots pg_snapshot[], out passed_positions bigint[])
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    all_of_it constant pg_snapshot := '9223372036854775807:9223372036854775807:';
    oldest outbox.batch;
    judged outbox.era;
begin
    select b.* into oldest from outbox.batch b order by b.number limit 1;
    if behind_unheld.batch_id < oldest.batch_id then
        select array[all_of_it, oldest.snapshot],
               array[e.position_floor, coalesce((select next.cut_through from outbox.era next where next.era = e.era + 1), behind_unheld.cut_through)]
        into passed_snapshots, passed_positions
        from outbox.era e where e.era = oldest.era;
        return;
    end if;
    select e.* into judged from outbox.era e where e.batch_id > behind_unheld.batch_id order by e.era limit 1;
    if judged.era is null then
        -- Nobody judged it: there is nothing behind it but what is in no batch.
        select array[all_of_it, b.snapshot], array[e.position_floor, behind_unheld.cut_through] into passed_snapshots, passed_positions
        from outbox.batch b join outbox.era e on e.era = b.era order by b.number desc limit 1;
        return;
    end if;
    select s.passed_snapshots, s.passed_positions into passed_snapshots, passed_positions
    from outbox.era_share s
    where s.batch_number = judged.batch_number and s.topic = behind_unheld.topic and s.partition = behind_unheld.partition;
    if passed_snapshots is null then
        -- The era began with nothing for this stream: what came after stands behind.
        passed_snapshots := array[all_of_it];
        passed_positions := array[judged.position_floor];
    end if;
end
$$;

-- As before, but producers wait only while what is newer than a look at everything is looked at: that look comes before the lock.
-- The leases and the recovery are checked, and held, where the era is written. `streams` may have "begins": the entry that the first
-- of the era names instead of "chain", if the era has something for the stream; "begins_there": whether it is on the stream.
create or replace function outbox.open_era(recovery bigint, epoch bigint, above_batch_id bigint, above_position bigint, streams jsonb,
                                out era integer, out batch_number bigint, out batch_id bigint, out events bigint)
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
declare
    all_of_it constant pg_snapshot := '9223372036854775807:9223372036854775807:';
    tries constant integer := 60;
    previous outbox.batch;
    before outbox.era;
    now_snapshot pg_snapshot;
    looked pg_snapshot;
    through bigint;
    seen_position bigint;
    floor bigint;
    refused text;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'an era is opened in a read committed transaction: others'' rows must be seen once the lock is ours' using errcode = 'invalid_parameter_value';
    end if;
    perform set_config('synchronous_commit', 'on', true);
    select b.* into previous from outbox.batch b order by b.number desc limit 1;
    select e.* into before from outbox.era e order by e.era desc limit 1;
    select greatest(coalesce(max(b.last_position) filter (where b.kind = 'cut'), 0), before.position_floor) into through from outbox.batch b;
    select greatest(above_position, max(e.position)) into seen_position from outbox.unknown_entry e;

    -- A stream of an earlier layout takes nothing more: what it has not had cannot come behind its end.
    select s.topic into refused
    from jsonb_to_recordset(streams) s (topic text, partition integer)
    where outbox.owes_of_earlier_layout(s.topic, s.partition)
    limit 1;
    if refused is not null then
        raise exception 'topic % got more partitions while an earlier stream of it had events to publish: they cannot come behind its end', refused
            using errcode = 'object_not_in_prerequisite_state', hint = 'Publish to another redis.prefix, and have its consumers rebuild.';
    end if;

    create temporary table era_stream on commit drop as
    select s.topic, s.partition, s.chain, s.there, s.begins, s.begins_there, coalesce(layout.partitions, 1) as partitions,
           coalesce(told.passed_snapshots, unheld.passed_snapshots) as passed_snapshots,
           coalesce(told.passed_positions, unheld.passed_positions) as passed_positions
    from jsonb_to_recordset(streams) s (topic text, partition integer, behind bigint[], chain bigint[], there boolean, begins bigint[], begins_there boolean)
    left join lateral (select l.batch_id, l.partitions from outbox.topic_layout l where l.topic = s.topic order by l.generation desc limit 1) layout on true
    -- Of the present layout only: what is of an earlier one was passed.
    cross join lateral outbox.behind_entry(s.topic, s.partition, greatest(s.behind[1], coalesce(layout.batch_id, 0)),
                                           case when s.behind[1] >= coalesce(layout.batch_id, 0) then s.behind[2] else 0 end, through) told
    cross join lateral outbox.behind_unheld(s.topic, s.partition, greatest(s.behind[1], coalesce(layout.batch_id, 0)), through) unheld;

    create temporary table era_topic on commit drop as
    select t.name as topic, layout.partitions
    from outbox.topic t
    cross join lateral (select l.partitions from outbox.topic_layout l where l.topic = t.name order by l.generation desc limit 1) layout;

    -- Everything that can be seen now. Who appends does not wait.
    looked := pg_current_snapshot();
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
        left join pg_temp.era_topic layout on layout.topic = fresh.topic
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
    create unique index era_row_once on pg_temp.era_row ("position");
    create temporary table era_sum on commit drop as
    select r.topic, r.partition, count(*) as event_count, min(r.position) as first_position, max(r.position) as last_position
    from pg_temp.era_row r group by r.topic, r.partition;
    analyze pg_temp.era_row;

    -- Who appends waits; who has appended has ended. What is appended from here on has a position above the floor. Beside a transaction
    -- that appended and stays open, appends wait a tenth of a second at a time and have twice that to themselves, for 18 s in all.
    perform set_config('lock_timeout', '100ms', true);
    for try in 1..tries loop
        begin
            lock table only outbox.log in share row exclusive mode;
            exit;
        exception when lock_not_available then
            if try = tries then
                raise;
            end if;
            -- Whoever queued behind us goes first.
            perform pg_sleep(0.2);
        end;
    end loop;
    -- Little is left to look for, among much that was found: by index, whatever the statistics say.
    perform set_config('lock_timeout', '2s', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true);
    perform outbox.hold_recovery(recovery, epoch);
    now_snapshot := pg_current_snapshot();
    floor := greatest((select s.last_value from outbox.log_position s), seen_position, through);
    perform setval('outbox.log_position', greatest(floor, 1));
    era := before.era + 1;
    batch_number := previous.number + 1;
    batch_id := greatest(previous.batch_id + 1, above_batch_id + 1, (extract(epoch from clock_timestamp()) * 1000)::bigint);

    -- What came since the look: of transactions that this server began since, or that were open then. Rows of another server may have
    -- such ids, and were seen or passed over then.
    create temporary table era_late on commit drop as
    with late as (
        select l.topic, l.key, l.id, l.position, l.transaction_id from outbox.log l
        where l.transaction_id >= pg_snapshot_xmax(looked) and l.transaction_id < pg_snapshot_xmax(now_snapshot)
        union all
        select l.topic, l.key, l.id, l.position, l.transaction_id from pg_snapshot_xip(looked) open_then, outbox.log l
        where l.transaction_id = open_then
    ), placed as (
        select late.topic, late.position, late.transaction_id,
               case when layout.partitions is null then 0 else 1 + outbox.partition_of(coalesce(late.key, late.id::text), layout.partitions) end as partition
        from late
        left join pg_temp.era_topic layout on layout.topic = late.topic
    )
    select placed.topic, placed.partition, placed.position
    from placed
    left join pg_temp.era_stream s on s.topic = placed.topic and s.partition = placed.partition
    where not exists (select from pg_temp.era_row r where r.position = placed.position)
      and not exists (select from outbox.unpublished u where u.position = placed.position)
      and case when s.topic is null
               then case when pg_visible_in_snapshot(placed.transaction_id, previous.snapshot) then placed.position > through
                         else placed.position > before.position_floor end
               else not exists (select from unnest(s.passed_snapshots, s.passed_positions) passed (snapshot, "position")
                                where placed.position <= passed.position and pg_visible_in_snapshot(placed.transaction_id, passed.snapshot)) end;
    -- Somebody skipped an event meanwhile.
    if exists (select from outbox.unpublished u join pg_temp.era_row r on r.position = u.position) then
        delete from pg_temp.era_row r using outbox.unpublished u where u.position = r.position;
        delete from pg_temp.era_sum;
        insert into pg_temp.era_sum
        select r.topic, r.partition, count(*), min(r.position), max(r.position) from pg_temp.era_row r group by r.topic, r.partition;
    end if;
    insert into pg_temp.era_sum
    select r.topic, r.partition, count(*), min(r.position), max(r.position) from pg_temp.era_late r group by r.topic, r.partition;
    create temporary table era_share_now on commit drop as
    select d.topic, d.partition, sum(d.event_count)::bigint as event_count, min(d.first_position) as first_position, max(d.last_position) as last_position
    from pg_temp.era_sum d group by d.topic, d.partition;

    select coalesce(sum(d.event_count), 0) into events from pg_temp.era_share_now d;
    insert into outbox.batch (number, batch_id, kind, era, epoch, snapshot, event_count, first_position, last_position, layouts)
    select open_era.batch_number, open_era.batch_id, 'era', open_era.era, open_era.epoch, now_snapshot, events,
           coalesce(min(d.first_position), previous.last_position), coalesce(max(d.last_position), previous.last_position),
           (select count(*) from outbox.topic_layout)
    from pg_temp.era_share_now d;
    insert into outbox.era (era, system_identifier, timeline, position_floor, batch_number, batch_id, cut_through)
    select open_era.era, system.system_identifier, ('x' || substring(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer,
           floor, open_era.batch_number, open_era.batch_id, through
    from pg_catalog.pg_control_system() system;
    insert into outbox.topic (name) select distinct d.topic from pg_temp.era_share_now d on conflict do nothing;
    insert into outbox.share (batch_number, topic, partition, event_count, first_position, last_position, first_new_position)
    select open_era.batch_number, d.topic, d.partition, d.event_count, d.first_position, d.last_position, d.first_position
    from pg_temp.era_share_now d;
    insert into outbox.era_share (batch_number, topic, partition, passed_snapshots, passed_positions)
    select open_era.batch_number, d.topic, d.partition,
           coalesce(s.passed_snapshots, array[all_of_it, previous.snapshot]),
           coalesce(s.passed_positions, array[before.position_floor, through])
    from pg_temp.era_share_now d
    left join pg_temp.era_stream s on s.topic = d.topic and s.partition = d.partition;
    -- A stream for which the era has nothing goes on behind what is there.
    update pg_temp.era_stream s set chain = s.begins, there = coalesce(s.begins_there, true)
    where s.begins is not null and exists (select from pg_temp.era_share_now d where d.topic = s.topic and d.partition = s.partition);
    insert into outbox.progress (topic, partition, batch_number, position, chain_batch_id, chain_position, epoch)
    select s.topic, s.partition, open_era.batch_number, coalesce(d.first_position, 1) - 1, s.chain[1], s.chain[2], open_era.epoch
    from pg_temp.era_stream s
    left join pg_temp.era_share_now d on d.topic = s.topic and d.partition = s.partition;
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

-- Whether a stream has not had all of a layout before the present one of its topic.
create function outbox.owes_of_earlier_layout(topic text, partition integer) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(ahead.batch_number > coalesce(passed.batch_number, 0), false)
    from (select l.batch_number from outbox.topic_layout l where l.topic = owes_of_earlier_layout.topic order by l.generation desc limit 1) layout
    cross join lateral (
        select max(a.batch_number) as batch_number from outbox.share a
        where a.topic = owes_of_earlier_layout.topic and a.partition = owes_of_earlier_layout.partition and a.batch_number <= layout.batch_number
    ) ahead
    left join lateral (
        select p.batch_number from outbox.progress p
        where p.topic = owes_of_earlier_layout.topic and p.partition = owes_of_earlier_layout.partition
        order by p.batch_number desc, p.position desc limit 1
    ) passed on true
$$;

-- The leases are of this epoch, nobody can take them before this transaction ends, and the recovery waits for its era.
create function outbox.hold_recovery(recovery bigint, epoch bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    stands text;
begin
    perform from outbox.lease l
    where l.name = 'tail' and l.epoch = hold_recovery.epoch and l.expires_at > clock_timestamp()
    for update;
    if not found then
        -- The same state as a duplicate number of a batch: somebody else may hold this place in the chain.
        raise exception 'the leases of epoch % ran out, or another process has them', hold_recovery.epoch using errcode = 'unique_violation';
    end if;
    select r.state into stands from outbox.recovery r where r.number = hold_recovery.recovery for update;
    if stands is distinct from 'begun' then
        raise exception 'recovery % is % and not begun', hold_recovery.recovery, coalesce(stands, 'not there') using errcode = 'unique_violation';
    end if;
end
$$;

create or replace view outbox_ops.recoveries as
    select recovery.number, recovery.strategy, recovery.state, recovery.era, recovery.reason, recovery.actor,
           (select count(*) from outbox.unknown_entry e where e.recovery = recovery.number and e.fate = 'removed') as entries_removed,
           (select count(*) from outbox.unknown_entry e where e.recovery = recovery.number and e.fate = 'accepted') as entries_accepted,
           recovery.begun_at, recovery.opened_at, recovery.done_at,
           recovery.removing_at, recovery.abandoned_at, recovery.abandoned_by, recovery.abandoned_because
    from outbox.recovery recovery
    order by recovery.number desc
    limit 1000;
comment on column outbox_ops.recoveries.state is '`begun`: interrupted, or at work; `opened`: the new era is there, the marks beside the streams are not all written; `done`; `abandoned`: a person gave it up, or chose otherwise.';
comment on column outbox_ops.recoveries.removing_at is 'When it began to take entries off streams; from then on some may be missing there.';
comment on column outbox_ops.recoveries.abandoned_at is 'When it was given up.';
comment on column outbox_ops.recoveries.abandoned_by is 'Who gave it up.';
comment on column outbox_ops.recoveries.abandoned_because is 'Why.';

do $$
declare
    function regprocedure;
begin
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('behind_unheld', 'owes_of_earlier_layout', 'hold_recovery') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
-- Whoever may look at a recovery.
grant execute on function outbox.owes_of_earlier_layout(text, integer) to outbox_relay, outbox_observer;
