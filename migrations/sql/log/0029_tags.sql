-- Tags of stored events, by index. A tag names what an event concerns besides its stream; streams without tags have no rows here.

-- One row per event and tag. The event's transaction and type are here too: what somebody's read did not see is found without the event.
create table outbox.event_tag (
    position bigint not null,
    transaction_id xid8 not null,
    tag text collate "C" not null,
    type text collate "C" not null,
    primary key (tag, position)
);
create index event_tag_unseen on outbox.event_tag (tag, transaction_id);
comment on table outbox.event_tag is 'The tags of stored events, those in the archive included. Rows come and go with their event, by trigger.';

-- Locked and never written: calls with too many tags for locks of their own wait here for conditional ones, and these for them.
create table outbox.tag_gate (row_exists boolean not null check (false));
comment on table outbox.tag_gate is 'Empty, and no row can be. Its lock stands for all tags at once.';

-- Takes the locks of tags until the transaction ends: of those that events are appended with (`kept`) in share mode, of those that a
-- condition watches (`watched`; null: there is none) alone. Each once, in its stronger mode, in the order of the keys, so that two
-- calls never wait for each other in a circle. Two tags of one key make somebody wait, and nothing else.
--
-- Locks are a table of the server with room for some 64 per connection: a call takes 64 at most, and a transaction 512. An append with more
-- takes the gate instead, which excludes conditional calls and no other append.
create function outbox.hold_tags(kept text[], watched text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    call_max constant integer := 64;
    transaction_max constant integer := 512;
    -- "outbox" as a number, and a few: the keys of others are other ones.
    seed constant bigint := 122550254464896;
    held integer := coalesce(nullif(current_setting('outbox.tags_held', true), '')::integer, 0);
    keys bigint[];
    alone boolean[];
begin
    -- The gate keeps every call under a condition out: no tag needs a lock of its own.
    if watched is null and current_setting('outbox.gate_is_held', true) = 'yes' then
        return;
    end if;
    select coalesce(array_agg(k.key order by k.key), '{}'), array_agg(k.alone order by k.key) into keys, alone
    from (select hashtextextended(t.tag, seed) as key, bool_or(t.alone) as alone
          from (select k.tag, false as alone from unnest(kept) k (tag) union all select w.tag, true from unnest(watched) w (tag)) t
          where t.tag is not null group by 1) k;
    -- Counted by call, so that a tag of two calls counts twice: looked up before it matters, the session's other such locks included.
    if held + cardinality(keys) > transaction_max then
        select count(distinct (l.classid, l.objid)) into held
        from pg_catalog.pg_locks l where l.locktype = 'advisory' and l.objsubid = 1 and l.pid = pg_backend_pid();
    end if;
    if cardinality(keys) > call_max or held + cardinality(keys) > transaction_max then
        if watched is null then
            lock table outbox.tag_gate in share mode;
            perform set_config('outbox.gate_is_held', 'yes', true);
            return;
        elsif cardinality(keys) > call_max then
            raise exception 'append refused: a condition and the events appended under it have at most % tags together, got %', call_max, cardinality(keys)
                using errcode = 'invalid_parameter_value';
        end if;
        raise exception 'append refused: a transaction holds at most % tags of conditions and events, and this one has % already', transaction_max, held
            using errcode = 'program_limit_exceeded', hint = 'Commit, and go on in another transaction.';
    end if;
    if watched is not null then
        lock table outbox.tag_gate in row exclusive mode;
    end if;
    perform set_config('outbox.tags_held', (held + cardinality(keys))::text, true);
    for n in 1 .. cardinality(keys) loop
        if alone[n] then
            perform pg_advisory_xact_lock(keys[n]);
        else
            perform pg_advisory_xact_lock_shared(keys[n]);
        end if;
    end loop;
end
$$;

-- The tags of events as appends are given them, a JSON array each.
create function outbox.tags_of(tags text[]) returns text[]
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
    other constant text := (select json_typeof(e.tags::json) from unnest(tags) e (tags) where json_typeof(e.tags::json) <> 'array' limit 1);
begin
    if other is not null then
        raise exception 'append refused: the tags of an event must be a JSON array of texts, or not be named; got a JSON %', other
            using errcode = 'invalid_parameter_value';
    end if;
    return array(select distinct t.tag collate "C" from unnest(tags) e (tags), json_array_elements_text(e.tags::json) t (tag) where e.tags is not null);
end
$$;

-- Rows of tags come with their event.
create function outbox.add_tags() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    -- Back from the archive: they are there.
    if new.transaction_id <> pg_current_xact_id() then
        return null;
    end if;
    -- Whoever began to append before there were these locks did not take them.
    if current_setting('outbox.tags_are_held', true) is distinct from 'yes' then
        perform outbox.hold_tags(new.tags, null);
    end if;
    insert into outbox.event_tag (position, transaction_id, tag, type)
    select new.position, new.transaction_id, t.tag, new.type from unnest(new.tags) t (tag)
    on conflict do nothing;
    return null;
end
$$;

-- And go with it, but not when it moves: then it is in the other piece by now.
create function outbox.drop_tags() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from outbox.log_stream l where l.position = old.position and l.stream is not null)
       and not exists (select from outbox.log_archive l where l.position = old.position and l.stream is not null) then
        delete from outbox.event_tag t where t.tag = any(old.tags) and t.position = old.position;
    end if;
    return null;
end
$$;

-- And not otherwise, also for the owner.
create function outbox.refuse_tag_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if tg_level = 'ROW' and tg_op = 'DELETE'
       and not exists (select from outbox.log_stream l where l.position = old.position and l.stream is not null)
       and not exists (select from outbox.log_archive l where l.position = old.position and l.stream is not null) then
        return old;
    end if;
    raise exception 'outbox.event_tag is append-only: % refused', lower(tg_op)
        using errcode = 'insufficient_privilege', hint = 'Rows of tags come and go with their event.';
end
$$;

-- As before; and who appends events with tags holds these from before positions are drawn. Tags are kept in the order of their bytes.
-- Without jit: a scan that is off costs so much on paper that every call compiled its plans, for twenty times as long as it took to run them.
create or replace function outbox.append_to_streams(
    streams text[], expected bigint[], numbers integer[],
    ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamptz[],
    data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[],
    traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[]
) returns table (number integer, outcome text, version bigint, positions bigint[])
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
    default_source text;
    payload_limit_bytes integer;
    place integer;
    held record;
    wanted bigint;
    known record;
    held_ids bigint[] := array_fill(null::bigint, array[cardinality(streams)]);
    held_categories integer[] := array_fill(null::integer, array[cardinality(streams)]);
    versions bigint[] := array_fill(0::bigint, array[cardinality(streams)]);
    outcomes text[] := array_fill(null::text, array[cardinality(streams)]);
    found_positions text[] := array_fill(null::text, array[cardinality(streams)]);
begin
    if exists (select from unnest(expected) e where e < -1) then
        raise exception 'append refused: expected must be null (any), -1 (there is one), 0 (there is none) or a version' using errcode = 'invalid_parameter_value';
    elsif cardinality(expected) <> cardinality(streams) then
        raise exception 'append refused: % streams and % expected versions', cardinality(streams), cardinality(expected) using errcode = 'invalid_parameter_value';
    end if;
    if cardinality(streams) > 1 and (select count(distinct s) from unnest(streams) s) < cardinality(streams) then
        raise exception 'append refused: a stream comes twice in one call' using errcode = 'invalid_parameter_value';
    end if;
    if cardinality(ids) > 1 and (select count(distinct i) from unnest(ids) i) < (select count(i) from unnest(ids) i) then
        raise exception 'event refused: id: must differ within one call, one comes twice' using errcode = 'unique_violation';
    end if;
    for place in select s.n from unnest(streams) with ordinality s (name, n) order by s.name collate "C" loop
        held := outbox.hold_stream(streams[place], expected[place] is null or expected[place] = 0);
        held_ids[place] := held.id;
        held_categories[place] := held.category;
        versions[place] := coalesce(held.version, 0);
    end loop;

    -- The same call again is told apart by the ids of its events, before any version is compared: whatever became of the streams since,
    -- those that it only looked at included. Of the archive too, where no index together with the other one refuses an id twice.
    for known in
        select e.number, count(*) as events, count(*) filter (where f.stream = held_ids[e.number]) as events_here,
               max(f.version) as version, array_agg(f.position order by f.version)::text as positions
        from unnest(numbers, ids) e (number, id)
        cross join lateral (
            select l.stream, l.version, l.position from outbox.log_stream l where l.id = e.id
            union all
            select l.stream, l.version, l.position from outbox.log_archive l where l.id = e.id
        ) f
        group by e.number
    loop
        wanted := (select count(*) from unnest(numbers) n where n = known.number);
        if known.events <> known.events_here then
            raise exception 'append refused: % of these events, by id, are in another stream than %', known.events - known.events_here, streams[known.number]
                using errcode = 'unique_violation', hint = 'An id is used once: give each command ids of its own.';
        elsif known.events <> wanted then
            raise exception 'append refused: stream % has % of these % events already, by id, and not the others', streams[known.number], known.events, wanted
                using errcode = 'unique_violation', hint = 'The same call again has the same events: give each command ids of its own.';
        end if;
        outcomes[known.number] := 'already';
        versions[known.number] := known.version;
        found_positions[known.number] := known.positions;
    end loop;
    if 'already' = any(outcomes) then
        place := (select n from unnest(numbers) n where outcomes[n] is null limit 1);
        if place is not null then
            raise exception 'append refused: stream % has these events already, by id, and stream % has not', streams[array_position(outcomes, 'already')], streams[place]
                using errcode = 'unique_violation', hint = 'The same call again names the same streams: give each command ids of its own.';
        end if;
        return query
            select s.n::integer, 'already', s.version, coalesce(s.positions::bigint[], '{}')
            from unnest(versions, found_positions) with ordinality s (version, positions, n);
        return;
    end if;

    for place in 1 .. cardinality(streams) loop
        wanted := expected[place];
        if not (case wanted when -1 then versions[place] > 0 else coalesce(versions[place] = wanted, true) end) then
            outcomes[place] := 'conflict';
        end if;
    end loop;
    if 'conflict' = any(outcomes) then
        return query
            select s.n::integer, coalesce(s.outcome, 'kept_back'), s.version, null::bigint[]
            from unnest(outcomes, versions) with ordinality s (outcome, version, n);
        return;
    end if;

    -- A conditional append that watches one of these tags has ended, or waits until this transaction has.
    if cardinality(array_remove(tags, null)) > 0 then
        perform outbox.hold_tags(outbox.tags_of(tags), null), set_config('outbox.tags_are_held', 'yes', true);
    end if;

    select s.source, s.payload_limit_bytes into default_source, payload_limit_bytes from outbox.settings s;
    return query
        with appended as (
            insert into outbox.log (retention, topic, key, id, source, type, subject, "time", data_content_type, data_schema, schema_version,
                                    correlation_id, causation_id, traceparent, tracestate, extensions, data, data_binary, stream, version, category, tags)
            select 'stream', e.topic, case when e.topic is not null then streams[e.number] end, coalesce(e.id, outbox.new_event_id()),
                   coalesce(e.source, default_source), e.type, e.subject, e.happened_at,
                   coalesce(e.data_content_type, case when e.data is not null then 'application/json' when e.data_binary is not null then 'application/octet-stream' end),
                   e.data_schema, e.schema_version, e.correlation_id, e.causation_id, e.traceparent, e.tracestate, e.extensions::json,
                   e.data::json::text, e.data_binary,
                   held_ids[e.number], versions[e.number] + e.place, held_categories[e.number], e.tags
            from (
                select arrived.*, row_number() over (partition by arrived.number order by arrived.n) as place,
                       case when arrived.named is null then
                           (select r.topic from outbox.route r where r.category = split_part(streams[arrived.number], '-', 1) and r.type in (arrived.type, '')
                            order by r.type desc limit 1)
                           else nullif(arrived.named, '') end as topic,
                       case when arrived.tags_json is not null then array(select distinct t.tag collate "C" from json_array_elements_text(arrived.tags_json::json) t (tag) order by 1) end as tags
                from unnest(numbers, ids, topics, types, sources, subjects, times, data_content_types, data_schemas, schema_versions, correlation_ids,
                            causation_ids, traceparents, tracestates, append_to_streams.extensions, append_to_streams.data, data_binaries, append_to_streams.tags)
                     with ordinality arrived (number, id, named, type, source, subject, happened_at, data_content_type, data_schema, schema_version, correlation_id,
                                              causation_id, traceparent, tracestate, extensions, data, data_binary, tags_json, n)
            ) e
            where outbox.accept(e.n, coalesce(
                outbox.refusal(coalesce(e.topic, '-'), streams[e.number], e.type, coalesce(e.source, default_source), e.subject,
                               e.data_content_type, e.data_schema, e.schema_version, e.correlation_id, e.causation_id, e.traceparent, e.tracestate,
                               e.extensions::json, octet_length(e.data), octet_length(e.data_binary), payload_limit_bytes),
                outbox.time_refusal(e.happened_at), case when e.tags is not null then outbox.tags_refusal(e.tags) end,
                case when e.number is null or e.number not between 1 and cardinality(streams) then format('stream: there is none with number %s in this call', e.number) end))
            order by e.n
            returning log.stream, log.version, log.position
        )
        select s.n::integer, 'appended', s.version + count(a.position), coalesce(array_agg(a.position order by a.version) filter (where a.position is not null), '{}')
        from unnest(held_ids, versions) with ordinality s (id, version, n)
        left join appended a on a.stream = s.id
        group by s.n, s.version
        order by s.n;
end
$$;
alter function outbox.find_appended set jit = off;

-- What is stored already. First all of it, beside who appends; then, behind who appended and with the others waiting, what came meanwhile.
do $$
declare
    looked constant pg_snapshot := pg_current_snapshot();
begin
    insert into outbox.event_tag (position, transaction_id, tag, type)
    select l.position, l.transaction_id, t.tag, l.type
    from outbox.log l cross join lateral (select distinct u.tag from unnest(l.tags) u (tag)) t
    where l.retention in ('stream', 'archive') and l.tags is not null;

    lock table outbox.log_stream, outbox.log_archive in share row exclusive mode;
    insert into outbox.event_tag (position, transaction_id, tag, type)
    select l.position, l.transaction_id, t.tag, l.type
    -- Of both: an event may have been archived since it came.
    from outbox.log l cross join lateral (select distinct u.tag from unnest(l.tags) u (tag)) t
    where l.retention in ('stream', 'archive') and l.tags is not null and l.transaction_id >= pg_snapshot_xmin(looked)
    on conflict do nothing;
    -- Truncated since the look.
    if exists (select from outbox.stream_step s where s.transaction_id >= pg_snapshot_xmin(looked) and s.action in ('truncate', 'tombstone')) then
        delete from outbox.event_tag e
        where not exists (select from outbox.log_stream l where l.position = e.position and l.stream is not null)
          and not exists (select from outbox.log_archive l where l.position = e.position and l.stream is not null);
    end if;
end
$$;
create trigger tags_come after insert on outbox.log_stream for each row when (new.tags is not null) execute function outbox.add_tags();
create trigger tags_go after delete on outbox.log_stream for each row when (old.tags is not null) execute function outbox.drop_tags();
create trigger tags_go after delete on outbox.log_archive for each row when (old.tags is not null) execute function outbox.drop_tags();
create trigger append_only before update or delete on outbox.event_tag for each row execute function outbox.refuse_tag_change();
create trigger append_only_as_a_whole before truncate on outbox.event_tag for each statement execute function outbox.refuse_tag_change();

do $$
declare
    made text;
    function regprocedure;
begin
    foreach made in array array['event_tag', 'tag_gate'] loop
        execute format('alter table outbox.%I owner to outbox_maintainer', made);
    end loop;
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('hold_tags', 'tags_of', 'add_tags', 'drop_tags', 'refuse_tag_change') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
