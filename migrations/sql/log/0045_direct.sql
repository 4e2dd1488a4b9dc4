-- What the library's append costs its transaction. It named the whole log, and two thirds of what that took beside a bare insert were neither rules nor
-- rows: a level of partitions, the doorbell's trigger, whose condition is read from text in each statement, and a look by `outbox.accepts` that is
-- hardly ever reached and made ready each time. So what nearly every event is has a way of its own, straight to where it is kept. It knows no other
-- and says so by inserting nothing: who uses it looks at the number of rows, and goes the way that there was.

-- What outbox.ring does, where no trigger calls it.
create function outbox.ring_bell() returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if (current_setting('transaction_isolation') in ('repeatable read', 'serializable')
        or exists (select from outbox.lease l where l.name = 'tail' and l.expires_at > clock_timestamp()))
       and pg_notification_queue_usage() < 0.5 then
        notify outbox;
    end if;
    return true;
end
$$;

create view outbox.outgoing_if_plain as
select null::uuid as id, null::text as topic, null::text as key, null::text as type, null::text as source, null::text as schema_version,
       null::text as correlation_id, null::text as causation_id, null::text as traceparent, null::text as tracestate, null::json as data
where false;
comment on view outbox.outgoing_if_plain is
    'For libraries. Appends an event with an id and a JSON payload, of a topic that is kept as standard, and with short texts; of any other it inserts nothing, and that is no error: look at the number of rows, and insert into outbox.outgoing if there is none. Always empty.';

-- The rules are those that outbox.outgoing looks at first, by other words: what they let pass is right. The doorbell is looked at behind them, in one expression, so that
-- who is refused neither rings nor takes its lock; where it was done is all the same, it counts from here to the end of the transaction. In a sub-select
-- each expression of whoever inserts is evaluated once. No function whose answer changes is in the list: what Postgres would not plan into one node then
-- costs as much as all rules together.
create rule append as on insert to outbox.outgoing_if_plain do instead
insert into outbox.log_standard (retention, topic, key, id, source, type, data_content_type, schema_version, correlation_id, causation_id, traceparent, tracestate, data)
select 'standard', n.topic, n.key, n.id, coalesce(n.source, outbox.settled_source()), coalesce(n.type, n.topic), 'application/json',
       n.schema_version, n.correlation_id, n.causation_id, n.traceparent, n.tracestate, n.data::text
from lateral (
        select new.id as id, new.topic as topic, new.key as key, new.type as type, new.source as source, new.schema_version as schema_version,
               new.correlation_id as correlation_id, new.causation_id as causation_id, new.traceparent as traceparent, new.tracestate as tracestate,
               new.data as data
     ) n
where case when n.id is not null and n.topic || coalesce(n.type, '') ~ '^[A-Za-z0-9._-]+$' and octet_length(n.topic || coalesce(n.type, '')) <= 200
                and (n.key = '' or octet_length(n.key) > 1024) is not true
                -- Of columns that a statement does not name nothing is left here but true.
                and (coalesce(n.type, n.source, n.schema_version, n.correlation_id, n.causation_id, n.traceparent, n.tracestate) is null
                        and octet_length(outbox.settled_source()) <= 1024
                     or least(n.topic collate "C", n.type, n.source, n.schema_version, n.correlation_id, n.causation_id, n.traceparent, n.tracestate) <> ''
                        and pg_column_size(array[coalesce(n.source, outbox.settled_source()), n.schema_version, n.correlation_id, n.causation_id,
                                                 n.traceparent, n.tracestate]) <= 1024)
                and octet_length(n.data::text) <= outbox.settled_payload_limit()
                and outbox.settled_retention(n.topic) = 'standard'
           then current_setting('outbox.notify', true) = 'off' or pg_try_advisory_xact_lock_shared(122550254464888) or outbox.ring_bell()
      end;

-- As before, and what is plain goes the same way first: with an id by then, so that the statement is one node there too. What that does not take goes
-- on as it did.
create or replace function outbox.append_event(
    id uuid, topic text, key text, type text, source text, subject text, "time" timestamptz, data_content_type text, data_schema text,
    schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data json, data_binary bytea)
returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_variable
declare
    is_plain boolean;
    problem text;
    appended uuid;
begin
    if id is null then
        id := outbox.new_event_id();
    end if;
    insert into outbox.log_standard (retention, topic, key, id, source, type, data_content_type, schema_version, correlation_id, causation_id, traceparent,
                                     tracestate, data, data_binary)
    select 'standard', topic, key, id, coalesce(source, outbox.settled_source()), coalesce(type, topic),
           case when data is not null then 'application/json' when data_binary is not null then 'application/octet-stream' end,
           schema_version, correlation_id, causation_id, traceparent, tracestate, data::text, data_binary
    where case when topic || coalesce(type, '') ~ '^[A-Za-z0-9._-]+$' and octet_length(topic || coalesce(type, '')) <= 200
                    and least(key collate "C", topic, type, source, schema_version, correlation_id, causation_id, traceparent, tracestate) <> ''
                    and pg_column_size(array[key, coalesce(source, outbox.settled_source()), schema_version, correlation_id, causation_id, traceparent,
                                             tracestate]) <= 1024
                    and num_nonnulls(subject, "time", data_content_type, data_schema, extensions) = 0
                    and (data is null or data_binary is null)
                    and coalesce(octet_length(data::text), octet_length(data_binary), 0) <= outbox.settled_payload_limit()
                    and outbox.settled_retention(topic) = 'standard'
               then current_setting('outbox.notify', true) = 'off' or pg_try_advisory_xact_lock_shared(122550254464888) or outbox.ring_bell()
          end
    returning log_standard.id into appended;
    if found then
        return appended;
    end if;
    -- What most events are whose topic is kept otherwise. Each expression of a function is prepared anew in every transaction: so it is one, and not
    -- outbox.refusal at once.
    is_plain := topic ~ '^[A-Za-z0-9._-]+$' and octet_length(topic) <= 200
        and (type is null or type ~ '^[A-Za-z0-9._-]+$' and octet_length(type) <= 200)
        and source is distinct from '' and (key is null or octet_length(key) between 1 and 1024)
        and num_nonnulls(subject, "time", data_content_type, data_schema, schema_version, correlation_id, causation_id, traceparent, tracestate, extensions) = 0
        and (data is null or data_binary is null);
    loop
        if is_plain is not true then
            if extensions -> 'traceparent' is not null or extensions -> 'tracestate' is not null then
                traceparent := coalesce(traceparent, extensions ->> 'traceparent');
                tracestate := coalesce(tracestate, extensions ->> 'tracestate');
                extensions := (select json_object_agg(e.key, e.value) from json_each(extensions) e where e.key not in ('traceparent', 'tracestate'));
            end if;
            select coalesce(
                outbox.refusal(topic, key, coalesce(type, topic), coalesce(source, s.source), subject, data_content_type, data_schema, schema_version,
                               correlation_id, causation_id, traceparent, tracestate, extensions, octet_length(data::text), octet_length(data_binary),
                               s.payload_limit_bytes),
                outbox.time_refusal("time"))
            into problem
            from outbox.settings s;
            if not found then
                perform outbox.need_settings();
            elsif problem is not null then
                raise exception 'event refused: %', problem using errcode = 'invalid_parameter_value';
            end if;
        end if;
        insert into outbox.log (retention, topic, key, id, source, type, subject, "time", data_content_type, data_schema, schema_version,
                                correlation_id, causation_id, traceparent, tracestate, extensions, data, data_binary)
        select outbox.settled_retention(topic), topic, key, coalesce(id, outbox.new_event_id()), coalesce(source, outbox.settled_source()), coalesce(type, topic),
               subject, "time",
               coalesce(data_content_type, case when data is not null then 'application/json' when data_binary is not null then 'application/octet-stream' end),
               data_schema, schema_version, correlation_id, causation_id, traceparent, tracestate, extensions, data::text, data_binary
        where octet_length(coalesce(source, outbox.settled_source())) <= 1024
          and (greatest(octet_length(data::text), octet_length(data_binary)) <= outbox.settled_payload_limit()) is not false
        returning log.id into appended;
        exit when appended is not null;
        if is_plain is not true then
            raise exception 'nothing was inserted: a trigger on outbox.log refuses rows' using errcode = 'object_not_in_prerequisite_state',
                hint = 'Look for triggers before insert on outbox.log and its pieces: the outbox has none.';
        end if;
        -- Its payload or its source is too long for this database: which, is said by the refusal.
        is_plain := false;
    end loop;
    return appended;
end
$$;

-- As before, but for whom it waits: who appends holds the part of the log that its way leads to, and not always the log. (Of appends of one event to a
-- stream that was so since step 0033: one that was open when an era began was in none, and below the floor of the new one.)
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
        where l.transaction_id >= pg_snapshot_xmax(previous.snapshot) and l.position > before.position_floor and l.topic is not null
        union all
        select l.topic, l.key, l.id, l.position from pg_snapshot_xip(previous.snapshot) late, outbox.log l
        where l.transaction_id = late and l.position > before.position_floor and l.topic is not null
        union all
        -- Appended with ids that the last snapshot took for old: it is of another server.
        select l.topic, l.key, l.id, l.position from outbox.log l
        where l.position > through and pg_visible_in_snapshot(l.transaction_id, previous.snapshot) and l.topic is not null
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
    -- that appended and stays open, appends wait a tenth of a second for each of the three tables and have twice that to themselves, for 18 to 30 s
    -- in all.
    perform set_config('lock_timeout', '100ms', true);
    for try in 1..tries loop
        begin
            -- Both ways round: of two locks that transactions of several appends take in one order, one way meets them between the two each time.
            if try % 2 = 1 then
                lock table only outbox.log_standard, only outbox.log_stream, only outbox.log in share row exclusive mode;
            else
                lock table only outbox.log, only outbox.log_stream, only outbox.log_standard in share row exclusive mode;
            end if;
            exit;
        exception when lock_not_available or deadlock_detected then
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
        where l.transaction_id >= pg_snapshot_xmax(looked) and l.transaction_id < pg_snapshot_xmax(now_snapshot) and l.topic is not null
        union all
        select l.topic, l.key, l.id, l.position, l.transaction_id from pg_snapshot_xip(looked) open_then, outbox.log l
        where l.transaction_id = open_then and l.topic is not null
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

-- As before, but for a row too many: who does not see what others committed since it began sees the function that they replaced beside the one that it
-- made, unless both lie on one page. It is one function all the same.
create or replace function outbox.settle(functions text[]) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '2s' set quote_all_identifiers = off set standard_conforming_strings = on as $$
declare
    made record;
    was_other boolean := false;
begin
    perform outbox.begin_to_settle();
    for made in select t.* from outbox.to_settle() t where t.name = any (functions) loop
        -- Comments are read as other tables are: of a transaction that does not see what others committed, this says nothing.
        if outbox.is_settled(made.name, made.expression) is not true or current_setting('transaction_isolation') <> 'read committed' then
            was_other := was_other or outbox.is_settled(made.name, 'outbox.look_up_' || substr(made.name, 9) || '(' || split_part(made.arguments, ' ', 1) || ')') is not true;
            execute format('create or replace function outbox.%I(%s) returns %s language sql stable parallel safe return %s',
                           made.name, made.arguments, made.result, made.expression);
            execute format('comment on function outbox.%I is %L', made.name, outbox.said_of_settled(made.expression,
                (select pg_get_function_sqlbody(p.oid) from (select distinct p.oid from pg_proc p where p.pronamespace = 'outbox'::regnamespace and p.proname = made.name) p)));
        end if;
    end loop;
    return was_other;
end
$$;

do $$
declare
    granted record;
begin
    alter view outbox.outgoing_if_plain owner to outbox_maintainer;
    alter function outbox.ring_bell owner to outbox_maintainer;
    revoke execute on function outbox.ring_bell from public;
    -- Whoever may insert into outbox.outgoing, by grants of its own too: the library of an application takes this way from the day it is updated.
    for granted in
        select case when a.grantee = 0 then 'public' else a.grantee::regrole::text end as grantee,
               case when bool_or(a.is_grantable) then ' with grant option' else '' end as option
        from pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) a
        where c.oid = 'outbox.outgoing'::regclass and a.privilege_type = 'INSERT' and a.grantee <> c.relowner
        group by a.grantee
    loop
        execute format('grant insert, select on outbox.outgoing_if_plain to %s%s', granted.grantee, granted.option);
        execute format('grant execute on function outbox.ring_bell to %s%s', granted.grantee, granted.option);
    end loop;
    -- Or into some columns of it.
    for granted in
        select case when a.grantee = 0 then 'public' else a.grantee::regrole::text end as grantee, string_agg(quote_ident(k.attname), ', ') as columns,
               case when bool_and(a.is_grantable) then ' with grant option' else '' end as option
        from pg_catalog.pg_attribute k, pg_catalog.aclexplode(k.attacl) a
        where k.attrelid = 'outbox.outgoing'::regclass and a.privilege_type = 'INSERT'
          and k.attname in (select own.attname from pg_catalog.pg_attribute own where own.attrelid = 'outbox.outgoing_if_plain'::regclass and own.attnum > 0)
        group by a.grantee
    loop
        execute format('grant insert (%s) on outbox.outgoing_if_plain to %s%s', granted.columns, granted.grantee, granted.option);
        execute format('grant execute on function outbox.ring_bell to %s%s', granted.grantee, granted.option);
    end loop;
end
$$;
