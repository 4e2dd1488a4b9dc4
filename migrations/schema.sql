-- The whole database as the migrations in sql/ leave it, without data. Not run by anyone: read it, compare it.
-- Made by a test; see tests/migrations/snapshot.rs.


SET check_function_bodies = false;

CREATE SCHEMA outbox;

CREATE SCHEMA outbox_ops;

CREATE FUNCTION outbox.accept(n bigint, problem text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if problem is not null then
        raise exception 'event refused: event %: %', n, problem using errcode = 'invalid_parameter_value';
    end if;
    return true;
end
$$;

ALTER FUNCTION outbox.accept(n bigint, problem text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.accepts(topic text, key text, type text, source text, subject text, "time" timestamp with time zone, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data_bytes integer, binary_bytes integer, payload_limit_bytes integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    problem text := coalesce(
        outbox.refusal(topic, key, type, source, subject, data_content_type, data_schema, schema_version, correlation_id, causation_id,
                       traceparent, tracestate, extensions, data_bytes, binary_bytes, payload_limit_bytes),
        outbox.time_refusal("time"));
begin
    if payload_limit_bytes is null then
        perform outbox.need_settings();
    elsif problem is not null then
        raise exception 'event refused: %', problem using errcode = 'invalid_parameter_value';
    end if;
    return true;
end
$$;

ALTER FUNCTION outbox.accepts(topic text, key text, type text, source text, subject text, "time" timestamp with time zone, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data_bytes integer, binary_bytes integer, payload_limit_bytes integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.add_inbox_day(moment timestamp with time zone) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '5s'
    AS $$
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
    if exists (select from pg_inherits part join pg_class made on made.oid = part.inhrelid
               where part.inhparent = 'outbox.inbox'::regclass and made.relname = name and made.relnamespace = 'outbox'::regnamespace) then
        return;
    end if;
    begin
        execute format('create table outbox.%I (like outbox.inbox including all)', name);
        execute format('alter table outbox.inbox attach partition outbox.%I for values from (%L) to (%L)',
            name, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
    exception when duplicate_table then
        -- Where the snapshot is from before it waited (REPEATABLE READ), what is committed is not seen. Who is refused knows the name.
        if pg_partition_root(to_regclass('outbox.' || name)) is distinct from 'outbox.inbox'::regclass then
            -- Members tell the text alone, so what to do is in it.
            raise exception 'table outbox.% is there, and is no day of the inbox, so events of % have no place: it was detached, or made by hand; attach it again, or give it another name', name, day
                using errcode = 'duplicate_table';
        end if;
    end;
end
$$;

ALTER FUNCTION outbox.add_inbox_day(moment timestamp with time zone) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.add_tags() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION outbox.add_tags() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.append_event(id uuid, topic text, key text, type text, source text, subject text, "time" timestamp with time zone, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data json, data_binary bytea) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $_$
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
$_$;

ALTER FUNCTION outbox.append_event(id uuid, topic text, key text, type text, source text, subject text, "time" timestamp with time zone, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data json, data_binary bytea) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.append(topic text, data json DEFAULT NULL::json, key text DEFAULT NULL::text, type text DEFAULT NULL::text, source text DEFAULT NULL::text, subject text DEFAULT NULL::text, id uuid DEFAULT NULL::uuid, "time" timestamp with time zone DEFAULT NULL::timestamp with time zone, extensions json DEFAULT NULL::json, correlation_id text DEFAULT NULL::text, causation_id text DEFAULT NULL::text, schema_version text DEFAULT NULL::text, data_schema text DEFAULT NULL::text, data_content_type text DEFAULT NULL::text, data_binary bytea DEFAULT NULL::bytea) RETURNS uuid
    LANGUAGE sql
    RETURN outbox.append_event(id, topic, key, type, source, subject, "time", data_content_type, data_schema, schema_version, correlation_id, causation_id, NULL::text, NULL::text, extensions, data, data_binary);

ALTER FUNCTION outbox.append(topic text, data json, key text, type text, source text, subject text, id uuid, "time" timestamp with time zone, extensions json, correlation_id text, causation_id text, schema_version text, data_schema text, data_content_type text, data_binary bytea) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.append_batch(ids uuid[], topics text[], keys text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
declare
    default_source text;
    payload_limit_bytes integer;
    twice uuid;
    appended bigint;
begin
    select s.source, s.payload_limit_bytes into default_source, payload_limit_bytes from outbox.settings s;
    if payload_limit_bytes is null then
        perform outbox.need_settings();
    end if;
    if cardinality(ids) > 1 then
        select e into twice from unnest(ids) e group by e having count(*) > 1 limit 1;
        if twice is not null then
            raise exception 'event refused: id: must differ within one call, % comes twice', twice using errcode = 'unique_violation';
        end if;
    end if;
    insert into outbox.log (retention, topic, key, id, source, type, subject, "time", data_content_type, data_schema, schema_version,
                            correlation_id, causation_id, traceparent, tracestate, extensions, data, data_binary)
    select coalesce(t.retention, 'standard'), e.topic, e.key, coalesce(e.id, outbox.new_event_id()), coalesce(e.source, default_source), coalesce(e.type, e.topic),
           e.subject, e.happened_at,
           coalesce(e.data_content_type, case when e.data is not null then 'application/json' when e.data_binary is not null then 'application/octet-stream' end),
           e.data_schema, e.schema_version, e.correlation_id, e.causation_id, e.traceparent, e.tracestate, e.extensions::json,
           e.data::json::text, -- the cast refuses what is not JSON, and changes nothing
           e.data_binary
    from unnest(ids, topics, keys, types, sources, subjects, times, data_content_types, data_schemas, schema_versions, correlation_ids,
                causation_ids, traceparents, tracestates, append_batch.extensions, append_batch.data, data_binaries)
         with ordinality e(id, topic, key, type, source, subject, happened_at, data_content_type, data_schema, schema_version, correlation_id,
                           causation_id, traceparent, tracestate, extensions, data, data_binary, n)
    left join outbox.topic t on t.name = e.topic
    -- In the same scan: taking seventeen arrays apart a second time costs more than the checks.
    where outbox.accept(e.n, coalesce(
        outbox.refusal(e.topic, e.key, coalesce(e.type, e.topic), coalesce(e.source, default_source), e.subject,
                       e.data_content_type, e.data_schema, e.schema_version, e.correlation_id, e.causation_id, e.traceparent, e.tracestate,
                       e.extensions::json, octet_length(e.data), octet_length(e.data_binary), payload_limit_bytes),
        outbox.time_refusal(e.happened_at)))
    order by e.n;
    get diagnostics appended = row_count;
    return appended;
end
$$;

ALTER FUNCTION outbox.append_batch(ids uuid[], topics text[], keys text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.append_if(stream text, expected bigint, events json, condition json, cursor text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
declare
    held record;
begin
    if json_typeof(events) = 'array' then
        select h.position, h.type into held
        from (select array_agg((e ->> 'id')::uuid) as ids, array_agg((e -> 'tags')::text) as tags
              from json_array_elements(events) e where json_typeof(e) = 'object') c
        cross join lateral outbox.hold_boundary(array[append_if.stream], array[append_if.expected], coalesce(c.ids, '{}'), coalesce(c.tags, '{}'),
                                                append_if.condition, append_if.cursor) h;
        if held.position is not null then
            raise exception 'the condition is broken by an event that the read did not see: %, at position %', held.type, held.position
                using errcode = 'OB409', detail = format('position %s, type %s', held.position, held.type),
                      hint = 'Read again, decide again, and append with the cursor of that read.';
        end if;
    end if;
    return outbox.append_to_stream(stream, expected, events);
end
$$;

ALTER FUNCTION outbox.append_if(stream text, expected bigint, events json, condition json, cursor text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.append_many(streams text[], expected bigint[], numbers integer[], ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[]) RETURNS TABLE(number integer, outcome text, version bigint, positions bigint[])
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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
                            causation_ids, traceparents, tracestates, append_many.extensions, append_many.data, data_binaries, append_many.tags)
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

ALTER FUNCTION outbox.append_many(streams text[], expected bigint[], numbers integer[], ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.append_stored(stream text, expected bigint, id uuid, topic text, type text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, data json) RETURNS bigint[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET jit TO 'off'
    AS $_$
#variable_conflict use_variable
declare
    is_new boolean;
    held_id bigint;
    held_category integer;
    place bigint[];
    is_heard boolean;
begin
    is_new := expected = 0;
    if is_new then
        insert into outbox.stream as s (category, name)
        select c.id, stream from outbox.category c
        where c.name = split_part(stream, '-', 1) and octet_length(stream) <= 400 and stream ~ '^[A-Za-z0-9._]+-[^\u0001-\u0020\u007f]+$'
          and current_setting('transaction_isolation') = 'read committed'
        on conflict do nothing
        returning s.id, s.category into held_id, held_category;
    else
        select s.id, s.category into held_id, held_category from outbox.stream s
        where s.name = stream and current_setting('transaction_isolation') = 'read committed'
        for no key update;
    end if;
    if held_id is null then
        return null;
    end if;
    insert into outbox.log_stream as l (retention, topic, key, id, source, type, data_content_type, schema_version, correlation_id, causation_id,
                                        traceparent, tracestate, data, stream, version, category)
    select 'stream', nullif(coalesce(topic, routed.topic), ''), case when coalesce(topic, routed.topic) <> '' then stream end, id, s.source, type,
           case when data is not null then 'application/json' end, schema_version, correlation_id, causation_id, traceparent, tracestate, data::text,
           held_id, coalesce(newest.version, 0) + 1, held_category
    from outbox.settings s
    left join lateral (select known.version from outbox.log_stream known where known.stream = held_id order by known.version desc limit 1) newest on true
    left join lateral (select r.topic from outbox.route r
                       where r.category = split_part(stream, '-', 1) and (r.type = append_stored.type or r.type = '')
                       order by r.category desc, r.type desc limit 1) routed on topic is null
    -- A stream without events may have had some: that is looked at elsewhere.
    where coalesce(newest.version, case when is_new then 0 end) = coalesce(expected, newest.version)
      and id is not null and type ~ '^[A-Za-z0-9._-]+$' and octet_length(type) <= 200
      and (topic is null or topic ~ '^[A-Za-z0-9._-]*$' and octet_length(topic) <= 200)
      and '' <> all (array[schema_version, correlation_id, causation_id, traceparent, tracestate]) is not false
      and octet_length(concat(schema_version, correlation_id, causation_id, traceparent, tracestate)) <= 2048
      and octet_length(s.source) <= 1024 and octet_length(data::text) <= s.payload_limit_bytes is not false
      and not exists (select from outbox.stream_step step where step.stream = held_id and step.action = 'tombstone')
      and not exists (select from outbox.log_stream known where known.id = append_stored.id)
      and not exists (select from outbox.log_archive known where known.id = append_stored.id)
    returning array[l.version, l.position],
              -- As outbox.ring, behind the insert: a relay that goes to sleep either sees it or is told.
              current_setting('outbox.notify', true) is not distinct from 'off' or pg_try_advisory_xact_lock_shared(122550254464888)
    into place, is_heard;
    if not is_heard then
        perform outbox.ring_at_once();
    end if;
    return place;
end
$_$;

ALTER FUNCTION outbox.append_stored(stream text, expected bigint, id uuid, topic text, type text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, data json) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.append_to_stream(stream text, expected bigint, events json) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
declare
    known constant text[] := array['id', 'type', 'topic', 'data', 'data_base64', 'source', 'subject', 'time', 'extensions', 'correlation_id', 'causation_id',
                                   'schema_version', 'data_schema', 'data_content_type', 'tags', 'traceparent', 'tracestate'];
    field text;
    done record;
begin
    if events is null or json_typeof(events) <> 'array' then
        raise exception 'append refused: events must be a JSON array of objects, got %', coalesce('a JSON ' || json_typeof(events), 'null') using errcode = 'invalid_parameter_value';
    end if;
    if exists (select from json_array_elements(events) e where json_typeof(e) <> 'object') then
        raise exception 'append refused: events must be a JSON array of objects, got one that is no object' using errcode = 'invalid_parameter_value';
    end if;
    select k into field from json_array_elements(events) e, json_object_keys(e) k where k <> all(known) limit 1;
    if field is not null then
        raise exception 'append refused: an event has no field %, only %', quote_literal(left(field, 100)), array_to_string(known, ', ') using errcode = 'invalid_parameter_value';
    end if;
    select a.* into done
    from (
        select array_agg(1) as numbers, array_agg((e ->> 'id')::uuid) as ids, array_agg(e ->> 'topic') as topics, array_agg(e ->> 'type') as types,
               array_agg(e ->> 'source') as sources, array_agg(e ->> 'subject') as subjects, array_agg((e ->> 'time')::timestamptz) as times,
               array_agg(e ->> 'data_content_type') as data_content_types, array_agg(e ->> 'data_schema') as data_schemas,
               array_agg(e ->> 'schema_version') as schema_versions, array_agg(e ->> 'correlation_id') as correlation_ids,
               array_agg(e ->> 'causation_id') as causation_ids, array_agg(e ->> 'traceparent') as traceparents, array_agg(e ->> 'tracestate') as tracestates,
               array_agg((e -> 'extensions')::text) as extensions, array_agg((e -> 'data')::text) as data,
               array_agg(decode(e ->> 'data_base64', 'base64')) as data_binaries, array_agg((e -> 'tags')::text) as tags
        from (select arrived.e from json_array_elements(events) with ordinality arrived (e, n) order by arrived.n) ordered
    ) c
    cross join lateral outbox.append_to_streams(
        array[append_to_stream.stream], array[append_to_stream.expected], coalesce(c.numbers, '{}'), coalesce(c.ids, '{}'), coalesce(c.topics, '{}'),
        coalesce(c.types, '{}'), coalesce(c.sources, '{}'), coalesce(c.subjects, '{}'), coalesce(c.times, '{}'), coalesce(c.data_content_types, '{}'),
        coalesce(c.data_schemas, '{}'), coalesce(c.schema_versions, '{}'), coalesce(c.correlation_ids, '{}'), coalesce(c.causation_ids, '{}'),
        coalesce(c.traceparents, '{}'), coalesce(c.tracestates, '{}'), coalesce(c.extensions, '{}'), coalesce(c.data, '{}'),
        coalesce(c.data_binaries, '{}'), coalesce(c.tags, '{}')) a;
    if done.outcome = 'conflict' then
        raise exception 'stream % is at version %, and % was expected', stream, done.version,
            case expected when 0 then 'no such stream' when -1 then 'one with events' else 'version ' || expected end
            using errcode = 'OB409', detail = done.version::text, hint = 'Read what was appended meanwhile, decide again, and append at the version read.';
    end if;
    return done.version;
end
$$;

ALTER FUNCTION outbox.append_to_stream(stream text, expected bigint, events json) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.append_to_streams(streams text[], expected bigint[], numbers integer[], ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[]) RETURNS TABLE(number integer, outcome text, version bigint, positions bigint[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $_$
#variable_conflict use_column
declare
    given constant integer := cardinality(ids);
    wanted constant bigint := expected[1];
    place bigint[];
    held record;
    drawn bigint[];
begin
    if cardinality(streams) = 1 and cardinality(expected) = 1 and given > 0 and 1 = all (numbers) and coalesce(wanted >= 0, true)
       and coalesce(cardinality(array_remove(tags, null)), 0) = 0 and cardinality(numbers) = given
       and greatest(cardinality(topics), cardinality(types), cardinality(sources), cardinality(subjects), cardinality(times),
                    cardinality(data_content_types), cardinality(data_schemas), cardinality(schema_versions), cardinality(correlation_ids),
                    cardinality(causation_ids), cardinality(traceparents), cardinality(tracestates), cardinality(extensions), cardinality(data),
                    cardinality(data_binaries), cardinality(tags)) <= given then
        if given = 1 then
            if num_nonnulls(sources[1], subjects[1], times[1], data_content_types[1], data_schemas[1], extensions[1], data_binaries[1]) = 0 then
                place := outbox.append_stored(streams[1], wanted, coalesce(ids[1], outbox.new_event_id()), topics[1], types[1], schema_versions[1],
                                              correlation_ids[1], causation_ids[1], traceparents[1], tracestates[1], data[1]::json);
                if place is not null then
                    number := 1;
                    outcome := 'appended';
                    version := place[1];
                    positions := place[2:2];
                    return next;
                    return;
                end if;
            end if;
        else
            held := outbox.hold_stream(streams[1], coalesce(wanted = 0, true));
            if coalesce(held.version, 0) = coalesce(wanted, held.version, 0) and held.id is not null then
                with appended as (
                    insert into outbox.log (retention, topic, key, id, source, type, subject, "time", data_content_type, data_schema, schema_version,
                                            correlation_id, causation_id, traceparent, tracestate, extensions, data, data_binary, stream, version, category)
                    select 'stream', e.topic, case when e.topic is not null then streams[1] end, ids[e.n], e.source, types[e.n], subjects[e.n], times[e.n],
                           coalesce(data_content_types[e.n], case when e.data is not null then 'application/json' when data_binaries[e.n] is not null then 'application/octet-stream' end),
                           data_schemas[e.n], schema_versions[e.n], correlation_ids[e.n], causation_ids[e.n], traceparents[e.n], tracestates[e.n],
                           extensions[e.n]::json, e.data, data_binaries[e.n], held.id, coalesce(held.version, 0) + e.n, held.category
                    from (
                        select g.n, append_to_streams.data[g.n]::json::text as data,
                               coalesce(sources[g.n], (select s.source from outbox.settings s)) as source,
                               nullif(coalesce(topics[g.n], case when exists (select from outbox.route r where r.category = split_part(streams[1], '-', 1)) then
                                   (select r.topic from outbox.route r where r.category = split_part(streams[1], '-', 1) and (r.type = types[g.n] or r.type = '')
                                    order by r.category desc, r.type desc limit 1) end), '') as topic
                        from generate_series(1, given) g (n)
                        offset 0
                    ) e
                    where (select count(distinct i) from unnest(ids) i) = given
                      and not exists (select from outbox.log_stream known where known.id = any (ids))
                      and not exists (select from outbox.log_archive known where known.id = any (ids))
                      and case when types[e.n] ~ '^[A-Za-z0-9._-]+$' and octet_length(types[e.n]) <= 200 and e.topic is null
                                    and octet_length(e.source) between 1 and 1024 and octet_length(e.data) <= (select s.payload_limit_bytes from outbox.settings s)
                                    and num_nonnulls(subjects[e.n], times[e.n], data_content_types[e.n], data_schemas[e.n], schema_versions[e.n], correlation_ids[e.n],
                                                     causation_ids[e.n], traceparents[e.n], tracestates[e.n], extensions[e.n], data_binaries[e.n]) = 0 then true
                          else outbox.accept(e.n, coalesce(
                              outbox.refusal(coalesce(e.topic, '-'), streams[1], types[e.n], e.source, subjects[e.n], data_content_types[e.n], data_schemas[e.n],
                                             schema_versions[e.n], correlation_ids[e.n], causation_ids[e.n], traceparents[e.n], tracestates[e.n],
                                             extensions[e.n]::json, octet_length(e.data), octet_length(data_binaries[e.n]),
                                             (select s.payload_limit_bytes from outbox.settings s)),
                              outbox.time_refusal(times[e.n]))) end
                    returning log.version, log.position
                )
                select array_agg(a.position order by a.version) into drawn from appended a;
                if drawn is not null then
                    number := 1;
                    outcome := 'appended';
                    version := coalesce(held.version, 0) + given;
                    positions := drawn;
                    return next;
                    return;
                end if;
            end if;
        end if;
    end if;
    return query
        select a.number, a.outcome, a.version, a.positions from outbox.append_many(
        append_to_streams.streams, append_to_streams.expected, append_to_streams.numbers, append_to_streams.ids, append_to_streams.topics, append_to_streams.types,
        append_to_streams.sources, append_to_streams.subjects, append_to_streams.times, append_to_streams.data_content_types, append_to_streams.data_schemas, append_to_streams.schema_versions,
        append_to_streams.correlation_ids, append_to_streams.causation_ids, append_to_streams.traceparents, append_to_streams.tracestates, append_to_streams.extensions, append_to_streams.data,
        append_to_streams.data_binaries, append_to_streams.tags) a;
end
$_$;

ALTER FUNCTION outbox.append_to_streams(streams text[], expected bigint[], numbers integer[], ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.append_to_streams_if(streams text[], expected bigint[], numbers integer[], ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[], condition json, cursor text) RETURNS TABLE(number integer, outcome text, version bigint, positions bigint[], unseen_position bigint, unseen_type text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_variable
declare
    held record;
begin
    held := outbox.hold_boundary(streams, expected, ids, tags, condition, cursor);
    if held.position is not null then
        return query
            select s.n::integer, 'conflict', s.version, null::bigint[], held.position, held.type
            from unnest(held.versions) with ordinality s (version, n);
    else
        return query
            select a.number, a.outcome, a.version, a.positions, null::bigint, null::text
            from outbox.append_to_streams(streams, expected, numbers, ids, topics, types, sources, subjects, times, data_content_types, data_schemas,
                                          schema_versions, correlation_ids, causation_ids, traceparents, tracestates, extensions, data, data_binaries, tags) a;
    end if;
end
$$;

ALTER FUNCTION outbox.append_to_streams_if(streams text[], expected bigint[], numbers integer[], ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[], condition json, cursor text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.archive_stream(stream text, through bigint, reason text, max integer DEFAULT 10000, OUT events bigint, OUT finished boolean) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    held record;
    first_version bigint;
    last_version bigint;
    moved bigint;
begin
    held := outbox.hold_to_keep(stream, reason, max);
    select min(l.version), max(l.version), count(*) into first_version, last_version, events
    from (select s.version from outbox.log_stream s where s.stream = held.id and s.version <= coalesce(through, held.version)
          order by s.version limit archive_stream.max) l;
    if events > 0 then
        perform outbox.refuse_unpublished(stream, held.id, first_version, last_version);
        insert into outbox.stream_step (stream, action, through, events, reason) values (held.id, 'archive', last_version, archive_stream.events, archive_stream.reason);
        update outbox.log l set retention = 'archive' where l.retention = 'stream' and l.stream = held.id and l.version <= last_version;
        get diagnostics moved = row_count;
        perform outbox.expect_count(stream, archive_stream.events, moved);
    end if;
    finished := not exists (select from outbox.log_stream s where s.stream = held.id and s.version <= coalesce(through, held.version));
end
$$;

ALTER FUNCTION outbox.archive_stream(stream text, through bigint, reason text, max integer, OUT events bigint, OUT finished boolean) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.backlog() RETURNS TABLE(topic text, partition integer, events bigint, exact boolean, oldest_recorded_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER COST 1000 ROWS 20
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
    -- Rows that no batch holds yet: the two arms of the tail against the newest snapshot of the ledger.
    with head as (
        select b.snapshot, (select e.position_floor from outbox.era e order by e.era desc limit 1) as floor
        from outbox.batch b order by b.number desc limit 1
    ), fresh as (
        select new.topic, new.key, new.id, new.recorded_at
        from head, lateral (select l.topic, l.key, l.id, l.recorded_at from outbox.log l
                            where l.transaction_id >= pg_snapshot_xmax(head.snapshot) and l.position > head.floor and l.topic is not null order by l.transaction_id, l.position limit 10000) new
        union all
        select late.topic, late.key, late.id, late.recorded_at
        from head, pg_snapshot_xip(head.snapshot) open_then,
             lateral (select l.topic, l.key, l.id, l.recorded_at from outbox.log l
                      where l.transaction_id = open_then and l.position > head.floor and l.topic is not null order by l.position limit 10000) late
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

ALTER FUNCTION outbox.backlog() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.begin_to_settle() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '2s'
    AS $$
begin
    perform pg_advisory_xact_lock(122550254464892);
exception
    when lock_not_available then
        raise exception 'another transaction is changing outbox.settings or how long topics are kept' using errcode = 'lock_not_available',
            hint = 'Nothing was changed: try again when it is over.';
end
$$;

ALTER FUNCTION outbox.begin_to_settle() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.behind_entry(topic text, partition integer, batch_id bigint, "position" bigint, cut_through bigint, OUT passed_snapshots pg_snapshot[], OUT passed_positions bigint[]) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    all_of_it constant pg_snapshot := '9223372036854775807:9223372036854775807:';
    kept outbox.batch;
    again outbox.reissue;
    base pg_snapshot;
    base_era integer;
    own_floor bigint;
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
    passed_snapshots := array[all_of_it, coalesce(base, '3:3:')];
    passed_positions := array[era_floor, coalesce(era_end, behind_entry.cut_through)];
    if again.batch_number is not null then
        -- One that goes back beyond its era is told by what it passed alone.
        if again.base::text = '3:3:' then
            passed_snapshots := '{}';
            passed_positions := '{}';
        end if;
        select e.position_floor into own_floor from outbox.era e where e.era = kept.era;
        passed_snapshots := passed_snapshots || again.passed_snapshots || all_of_it;
        passed_positions := passed_positions || again.passed_positions || least(behind_entry.position, own_floor);
    end if;
    passed_snapshots := passed_snapshots || kept.snapshot;
    passed_positions := passed_positions || behind_entry.position;
end
$$;

ALTER FUNCTION outbox.behind_entry(topic text, partition integer, batch_id bigint, "position" bigint, cut_through bigint, OUT passed_snapshots pg_snapshot[], OUT passed_positions bigint[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.behind_unheld(topic text, partition integer, batch_id bigint, cut_through bigint, OUT passed_snapshots pg_snapshot[], OUT passed_positions bigint[]) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION outbox.behind_unheld(topic text, partition integer, batch_id bigint, cut_through bigint, OUT passed_snapshots pg_snapshot[], OUT passed_positions bigint[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.cancel_operation(number bigint, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    cancelled outbox.operation;
begin
    perform outbox.refuse_without_reason(reason);
    update outbox.operation o set state = 'cancelled' where o.number = cancel_operation.number and o.state = 'running'
    returning * into cancelled;
    if not found then
        perform outbox.refuse_operation(cancel_operation.number, 'running');
    end if;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('cancel', cancelled.consumer, jsonb_build_object('operation', cancelled.number), reason);
end
$$;

ALTER FUNCTION outbox.cancel_operation(number bigint, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.cancel_rebuild(projection text, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    update outbox.projection_rebuild r
    set state = 'cancelled', finished_at = clock_timestamp(), reason = r.reason || '; cancelled: ' || cancel_rebuild.reason
    where r.projection = cancel_rebuild.projection and r.state in ('ordered', 'building', 'held');
    if not found then
        raise exception 'projection % is not being built anew', quote_nullable(left(projection, 100)) using errcode = 'no_data_found';
    end if;
end
$$;

ALTER FUNCTION outbox.cancel_rebuild(projection text, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.category_of(stream text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    select case when octet_length(stream) <= 400 and stream ~ '^[A-Za-z0-9._]{1,100}-[^\u0001-\u0020\u007f]+$' then split_part(stream, '-', 1) end
$_$;

ALTER FUNCTION outbox.category_of(stream text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.causes() RETURNS TABLE(cause text, severity text, subject text, since timestamp with time zone, reason text)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 5
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
    with tail as (
        select l.holder, l.expires_at, l.expires_at > clock_timestamp() as valid from outbox.lease l where l.name = 'tail'
    ), live as (
        select r.instance, r.state, r.reason, r.seen_at from outbox.relay r
        where r.seen_at > clock_timestamp() - interval '30 seconds'
    ), head as (
        select parent.relname::text as parent,
               case when parent.relname like 'log\_%' then (select last_value from outbox.log_position)
                    when parent.relname = 'progress' then (select last_value from outbox.progress_number)
                    else coalesce((select b.number from outbox.batch b order by b.number desc limit 1), 0) end as next
        from pg_partitioned_table p join pg_class parent on parent.oid = p.partrelid
        where parent.relnamespace = 'outbox'::regnamespace and p.partstrat = 'r'
          and parent.relname in ('log_standard', 'log_audit', 'batch', 'share', 'progress')
    ), bound as (
        select p.parent, p.lower_bound, p.upper_bound,
               lead(coalesce(p.lower_bound, 0)) over (partition by p.parent order by p.lower_bound nulls first) as next_lower
        from outbox.piece p where not p.detach_pending
    ), gap as (
        select bound.parent, bound.upper_bound as from_here, bound.next_lower as to_there
        from bound where bound.upper_bound is not null and bound.next_lower is distinct from bound.upper_bound
        union all
        select head.parent, null, null from head where not exists (select from bound where bound.parent = head.parent)
    )
    select 'refused', 'stalled', live.instance, live.seen_at, live.reason from live where live.state = 'refused'
    union all
    select 'no_lease', case when exists (select from outbox_ops.backlog) then 'stalled' else 'degraded' end, 'tail',
           nullif(tail.expires_at, '-infinity'),
           'no relay holds the lease: nothing is published; start outbox-relay run, or see why those that run cannot take it'
    from tail where not tail.valid and not exists (select from live where live.state = 'refused')
    union all
    select 'waiting', case when tail.valid and tail.holder = live.instance then 'stalled' else 'degraded' end, live.instance, live.seen_at, live.reason
    from live cross join tail where live.state = 'waiting'
    union all
    -- What is far ahead may be missing for a moment: upkeep splits it. Nothing within this reserve is ever touched.
    select 'piece_missing', 'stalled', 'outbox.' || gap.parent, null,
           format('there is no piece of outbox.%s for %s on%s, and %s is reached: what comes there is refused. Upkeep makes it within maintain.interval; if it does not, its log says why',
                  gap.parent, coalesce(gap.from_here::text, 'anything'), ' to ' || gap.to_there, head.next)
    from gap join head using (parent)
    where coalesce(gap.from_here, 0) < head.next + 16000000 and coalesce(gap.to_there, 9223372036854775807) > head.next
    union all
    (select t.state, 'degraded', t.stream, t.stopped_since, t.reason from outbox_ops.topics t
     where t.state in ('set_aside', 'blocked', 'lost') order by t.stopped_since limit 20)
    union all
    (select 'transaction', 'note', coalesce(w.pid::text, w.prepared_name), w.started_at,
            format('a transaction of %s%s is open for %s s (%s) and holds back %s: its own events only, nobody else''s',
                   w.user_name, ' (' || nullif(w.application, '') || ')', floor(extract(epoch from w.age)), w.state, array_to_string(w.holds_back, ', '))
     from outbox.waiting_transactions() w
     where w.age > interval '5 seconds' and cardinality(w.holds_back) > 0 order by w.started_at limit 20)
$$;

ALTER FUNCTION outbox.causes() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.claim_stream(consumer text, stream text, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '5s'
    AS $$
declare
    former record;
begin
    perform outbox.require_consumer(consumer, reason);
    select l.holder, l.epoch, l.expires_at > clock_timestamp() as is_held into former
    from outbox.consumer_lease l
    where l.consumer = claim_stream.consumer and l.stream = claim_stream.stream
    for no key update;
    if not found then
        raise exception 'consumer % has no stream %', consumer, stream
            using errcode = 'no_data_found', hint = 'outbox-relay consumer show names its streams.';
    end if;
    if former.holder is null or not former.is_held then
        raise exception 'nobody holds stream % of consumer %: the next member that looks takes it', stream, consumer
            using errcode = 'invalid_parameter_value';
    end if;
    update outbox.consumer_lease l
    set epoch = l.epoch + 1, holder = null, expires_at = '-infinity'
    where l.consumer = claim_stream.consumer and l.stream = claim_stream.stream;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('claim', consumer, jsonb_build_object('stream', stream, 'holder', former.holder, 'epoch', former.epoch), reason);
    return former.holder;
end
$$;

ALTER FUNCTION outbox.claim_stream(consumer text, stream text, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.condition_filter(condition json) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select substr(encode(sha256(convert_to(string_agg(said.item, ',' order by said.item collate "C"), 'UTF8')), 'hex'), 1, 8)
    from (
        select json_build_array(array(select distinct t.tag collate "C" from unnest(i.tags) t (tag) order by 1),
                                case when i.types is not null then array(select distinct t.type collate "C" from unnest(i.types) t (type) order by 1) end)::text as item
        from outbox.condition_items(condition) i
    ) said
$$;

ALTER FUNCTION outbox.condition_filter(condition json) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.condition_items(condition json) RETURNS TABLE(tags text[], types text[])
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    said text;
begin
    if condition is null or json_typeof(condition) <> 'array' or json_array_length(condition) not between 1 and 64 then
        raise exception 'condition refused: it must be a JSON array of 1 to 64 objects with tags and types, got %',
            coalesce(case json_typeof(condition) when 'array' then 'one of ' || json_array_length(condition) else 'a JSON ' || json_typeof(condition) end, 'null')
            using errcode = 'invalid_parameter_value';
    end if;
    select p.problem into said from (select i.n, case
        when json_typeof(i.item) <> 'object' then 'each item must be an object with tags and types, got a JSON ' || json_typeof(i.item)
        when exists (select from json_object_keys(i.item) k where k not in ('tags', 'types'))
        then 'an item has tags and types, and no ' || (select quote_literal(left(k, 100)) from json_object_keys(i.item) k where k not in ('tags', 'types') limit 1)
        when coalesce(json_typeof(i.item -> 'tags'), 'null') = 'null' or json_typeof(i.item -> 'tags') = 'array' and json_array_length(i.item -> 'tags') = 0
        then 'each item must name a tag: what has types alone would make every append wait. Give such events a tag of their own'
        when json_typeof(i.item -> 'tags') <> 'array' or json_array_length(i.item -> 'tags') > 32
             or exists (select from json_array_elements(i.item -> 'tags') t
                        where json_typeof(t) <> 'string' or t #>> '{}' = '' or octet_length(t #>> '{}') > 200)
        then 'tags must be an array of 1 to 32 texts of 1 to 200 bytes'
        when coalesce(json_typeof(i.item -> 'types'), 'null') = 'null' then null
        when json_typeof(i.item -> 'types') <> 'array' or json_array_length(i.item -> 'types') not between 1 and 100
             or exists (select from json_array_elements(i.item -> 'types') t where json_typeof(t) <> 'string' or octet_length(t #>> '{}') not between 1 and 200)
        then 'types must be an array of 1 to 100 texts of 1 to 200 bytes, or be left out: all types' end as problem
    from json_array_elements(condition) with ordinality i (item, n)) p
    where p.problem is not null order by p.n limit 1;
    if said is not null then
        raise exception 'condition refused: %', said using errcode = 'invalid_parameter_value';
    end if;
    return query
        select array(select t.tag from json_array_elements_text(i.item -> 'tags') with ordinality t (tag, n) order by t.n),
               case when json_typeof(i.item -> 'types') = 'array' then array(select t from json_array_elements_text(i.item -> 'types') t) end
        from json_array_elements(condition) i (item);
end
$$;

ALTER FUNCTION outbox.condition_items(condition json) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.count_finished(consumer text, streams text[], after_batch numeric, after_position numeric) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select count(*) from (
        select i.entry_id from outbox.inbox i where i.consumer = count_finished.consumer and i.stream = any(count_finished.streams)
        union all
        select f.entry_id from outbox.inbox_foreign f where f.consumer = count_finished.consumer and f.stream = any(count_finished.streams)
    ) finished
    where outbox.entry_is_after(finished.entry_id, count_finished.after_batch, count_finished.after_position)
$$;

ALTER FUNCTION outbox.count_finished(consumer text, streams text[], after_batch numeric, after_position numeric) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.cursor_snapshot(cursor text, OUT snapshot pg_snapshot, OUT own xid8, OUT own_through bigint, OUT era_floor bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    place record;
begin
    if cursor_snapshot.cursor is null then
        raise exception 'a cursor must be given' using errcode = 'invalid_parameter_value';
    end if;
    select t.* into place from outbox.take_up_cursor(cursor_snapshot.cursor) t;
    if place.goal is not null then
        raise exception 'this cursor stands for no snapshot: the read that it is of has not come to its end'
            using errcode = 'OB410', hint = 'Go on reading until at_end.';
    elsif place.above > 0 or place.filter like '%u' then
        raise exception 'this cursor stands for no snapshot: it is of a read from a position on, or until a time'
            using errcode = 'OB410', hint = 'Read all of it.';
    elsif place.own is distinct from pg_current_xact_id_if_assigned() and pg_xact_status(place.own) = 'aborted' then
        raise exception 'this cursor was taken in transaction %, which was rolled back: what was read of it never was', place.own
            using errcode = 'OB410', hint = 'Read again.';
    end if;
    snapshot := place.done;
    own := place.own;
    own_through := place.own_through;
    era_floor := place.era_floor;
end
$$;

ALTER FUNCTION outbox.cursor_snapshot(cursor text, OUT snapshot pg_snapshot, OUT own xid8, OUT own_through bigint, OUT era_floor bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.cursor_text(era integer, system_identifier bigint, filter text, above bigint, done pg_snapshot, own xid8, own_through bigint, backward boolean DEFAULT NULL::boolean, goal pg_snapshot DEFAULT NULL::pg_snapshot, goal_own xid8 DEFAULT NULL::xid8, floor bigint DEFAULT NULL::bigint, through bigint DEFAULT NULL::bigint, place bigint DEFAULT NULL::bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select parts.said || '/' || substr(encode(sha256(convert_to(parts.said, 'UTF8')), 'hex'), 1, 8)
    from (select concat_ws('/', '1', era, system_identifier, filter, above, done, coalesce(own || '@' || own_through, '-'),
                           case when goal is not null
                                then concat_ws('/', case when backward then 'b' else 'f' end, goal, coalesce(goal_own::text, '-'), floor, through, place) end)) parts (said)
$$;

ALTER FUNCTION outbox.cursor_text(era integer, system_identifier bigint, filter text, above bigint, done pg_snapshot, own xid8, own_through bigint, backward boolean, goal pg_snapshot, goal_own xid8, floor bigint, through bigint, place bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.dead_letter_predicate(filter jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    name text;
    given jsonb;
    words text[];
    word text;
    terms text[] := '{true}';
    either text[] := '{}';
begin
    if jsonb_typeof(filter) is distinct from 'object' then
        raise exception 'a filter is a JSON object such as {"fingerprint": "0f1e2d3c4b5a6978"}' using errcode = 'invalid_parameter_value';
    end if;
    for name, given in select * from jsonb_each(filter) loop
        if jsonb_typeof(given) <> (case when name in ('numbers', 'ids') then 'array' else 'string' end) then
            raise exception 'filter: % must be %', name, case when name in ('numbers', 'ids') then 'a list' else 'a text' end
                using errcode = 'invalid_parameter_value';
        end if;
        word := given #>> '{}';
        if name in ('numbers', 'ids') then
            words := array(select jsonb_array_elements_text(given));
        elsif name in ('dead_before', 'dead_after') then
            word := word::timestamptz;
        elsif name = 'error_kind' and word not in ('transient', 'poison', 'unreadable', 'too_old') then
            raise exception 'filter: error_kind is one of transient, poison, unreadable, too_old' using errcode = 'invalid_parameter_value';
        end if;
        if name = 'numbers' then
            either := either || format('v.number = any (%L::bigint[])', words::bigint[]);
            continue;
        elsif name = 'ids' then
            either := either || format('v.id = any (%L::text[])', words);
            continue;
        end if;
        terms := terms || case name
            when 'consumer' then format('v.consumer = %L', word)
            when 'fingerprint' then format('v.fingerprint = %L', word)
            when 'key' then format('v.key = %L', word)
            when 'topic' then format('(v.topic = %L or starts_with(v.topic, %L))', word, word || '@')
            when 'stream' then format('v.stream = %L', word)
            when 'type' then format('v.type = %L', word)
            when 'error_class' then format('v.error_class = %L', word)
            when 'error_kind' then format('v.error_kind = %L', word)
            when 'dead_before' then format('v.dead_at < %L::timestamptz', word)
            when 'dead_after' then format('v.dead_at >= %L::timestamptz', word)
        end;
        if terms[cardinality(terms)] is null then
            raise exception 'filter: % is unknown', name
                using errcode = 'invalid_parameter_value',
                      hint = 'known: consumer, numbers, ids, fingerprint, key, topic, stream, type, error_class, error_kind, dead_before, dead_after';
        end if;
    end loop;
    if either <> '{}' then
        terms := terms || format('(%s)', array_to_string(either, ' or '));
    end if;
    return array_to_string(terms, ' and ');
end
$$;

ALTER FUNCTION outbox.dead_letter_predicate(filter jsonb) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.discard_dead_letters(filter jsonb, reason text, all_of_them boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '5s'
    AS $$
declare
    letter record;
    line outbox.parked_lane;
    holder bigint;
    consumers text[];
    discarded bigint[] := '{}';
begin
    perform outbox.refuse_without_reason(reason);
    perform outbox.refuse_everything(filter, all_of_them);
    consumers := array(
        select distinct d.consumer
        from outbox.select_dead_letters(filter) chosen (number) join outbox.dead_letter d on d.number = chosen.number
        order by 1);
    perform outbox.refuse_several(consumers);
    -- First the lane, then the letter, as the transactions that apply do it.
    for letter in
        select d.number, d.consumer, d.flow, d.lane, d.place
        from outbox.select_dead_letters(filter) chosen (number) join outbox.dead_letter d on d.number = chosen.number
        where d.consumer = consumers[1]
        order by d.flow, d.lane, d.place, d.number
    loop
        select * into line from outbox.parked_lane l
        where (l.consumer, l.flow, l.lane) = (letter.consumer, letter.flow, letter.lane) for update;
        holder := (select held.dead_letter from outbox.held_lane held
                   where (held.consumer, held.flow, held.lane) = (letter.consumer, letter.flow, letter.lane));
        update outbox.dead_letter d set state = 'discarded', changed_at = clock_timestamp()
        where d.number = letter.number and d.state = 'dead';
        continue when not found;
        discarded := discarded || letter.number;
        if holder = letter.number then
            perform outbox.let_lane_go_on(line, true, null);
        end if;
    end loop;
    if discarded = '{}' then
        raise exception 'no dead letter matches' using errcode = 'no_data_found';
    end if;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    select 'discard', d.consumer, jsonb_build_object('filter', filter, 'letters', count(*), 'first', min(d.number), 'last', max(d.number)), reason
    from outbox.dead_letter d where d.number = any (discarded) group by d.consumer;
    return cardinality(discarded);
end
$$;

ALTER FUNCTION outbox.discard_dead_letters(filter jsonb, reason text, all_of_them boolean) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.drain_seized(consumer text, stream text, epoch bigint, OUT passed_batch numeric, OUT passed_position numeric) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    perform from outbox.consumer_lease l where l.consumer = drain_seized.consumer and l.stream = drain_seized.stream for update;
    perform outbox.require_seized(consumer, array[stream], array[epoch]);
    select p.passed_batch, p.passed_position into drain_seized.passed_batch, drain_seized.passed_position
    from outbox.consumer_stream p where p.consumer = drain_seized.consumer and p.stream = drain_seized.stream;
end
$$;

ALTER FUNCTION outbox.drain_seized(consumer text, stream text, epoch bigint, OUT passed_batch numeric, OUT passed_position numeric) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.drop_events(stream_name text, stream bigint, through bigint, action text, reason text, max integer, OUT events bigint, OUT finished boolean) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    first_version bigint;
    last_version bigint;
    gone bigint;
begin
    select min(l.version), max(l.version), count(*) into first_version, last_version, events
    from (select e.version from outbox.log e
          where e.retention in ('stream', 'archive') and e.stream = drop_events.stream and e.version <= through
          order by e.version limit drop_events.max) l;
    finished := not exists (select from outbox.log e where e.retention in ('stream', 'archive') and e.stream = drop_events.stream
                            and e.version > coalesce(last_version, 0) and e.version <= through);
    if events = 0 then
        return;
    end if;
    perform outbox.hold_topics(stream, first_version, last_version);
    perform outbox.refuse_unpublished(stream_name, stream, first_version, last_version);
    insert into outbox.stream_step (stream, action, through, events, reason)
    values (drop_events.stream, drop_events.action, last_version, drop_events.events, drop_events.reason);
    perform outbox.note_removed(stream, first_version, last_version);
    delete from outbox.log l where l.retention in ('stream', 'archive') and l.stream = drop_events.stream and l.version <= last_version;
    get diagnostics gone = row_count;
    perform outbox.expect_count(stream_name, drop_events.events, gone);
    -- They were made of what is gone.
    delete from outbox.stream_snapshot s where s.stream = drop_events.stream;
end
$$;

ALTER FUNCTION outbox.drop_events(stream_name text, stream bigint, through bigint, action text, reason text, max integer, OUT events bigint, OUT finished boolean) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.drop_tags() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if not exists (select from outbox.log_stream l where l.position = old.position and l.stream is not null)
       and not exists (select from outbox.log_archive l where l.position = old.position and l.stream is not null) then
        delete from outbox.event_tag t where t.tag = any(old.tags) and t.position = old.position;
    end if;
    return null;
end
$$;

ALTER FUNCTION outbox.drop_tags() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.edit_dead_letter(number bigint, data json, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    letter outbox.dead_letter;
begin
    perform outbox.refuse_without_reason(reason);
    select * into letter from outbox.dead_letter d where d.number = edit_dead_letter.number for no key update;
    if not found then
        raise exception 'there is no dead letter %', number using errcode = 'no_data_found';
    elsif letter.state <> 'dead' then
        raise exception 'dead letter % is %, not dead', number, letter.state using errcode = 'object_not_in_prerequisite_state';
    elsif letter.id is null then
        raise exception 'dead letter % is no event, so it has no data to edit', number using errcode = 'object_not_in_prerequisite_state';
    elsif data is null or octet_length(data::text) > 16777216 then
        raise exception 'data: must be JSON of at most 16 MiB' using errcode = 'invalid_parameter_value';
    end if;
    update outbox.dead_letter d
    set edited_fields = outbox.with_data(letter.entry_fields, data), edited_at = clock_timestamp(), edited_by = session_user, changed_at = clock_timestamp()
    where d.number = letter.number;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('edit', letter.consumer, jsonb_build_object('letter', letter.number, 'event', letter.id), reason);
end
$$;

ALTER FUNCTION outbox.edit_dead_letter(number bigint, data json, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.ensure_inbox_day(moment timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    day date := (moment at time zone 'UTC')::date;
    today date := (clock_timestamp() at time zone 'UTC')::date;
begin
    if exists (select from pg_inherits
               where inhparent = 'outbox.inbox'::regclass and inhrelid = to_regclass('outbox.inbox_' || to_char(day, 'YYYYMMDD'))) then
        return true;
    elsif day < today - 366 or day > today + 2 then
        return false;
    end if;
    perform outbox.add_inbox_day(moment);
    return true;
end
$$;

ALTER FUNCTION outbox.ensure_inbox_day(moment timestamp with time zone) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.entry_is_after(entry text, batch numeric, "position" numeric) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select (split_part(entry, '-', 1)::numeric, split_part(entry, '-', 2)::numeric) > (batch, "position")
$$;

ALTER FUNCTION outbox.entry_is_after(entry text, batch numeric, "position" numeric) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.expect_count(stream text, wanted bigint, got bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if wanted <> got then
        raise exception 'stream %: % events were to leave, and % did: nothing was done', stream, wanted, got using errcode = 'data_exception';
    end if;
end
$$;

ALTER FUNCTION outbox.expect_count(stream text, wanted bigint, got bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.find_appended(stream text, ids uuid[]) RETURNS TABLE(id uuid, version bigint, "position" bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
declare
    held bigint;
begin
    -- Made if it is not there: whoever else is making it is waited for.
    select h.id into held from outbox.hold_stream(find_appended.stream, true) h;
    return query
        select l.id, l.version, l.position from outbox.log_stream l where l.id = any(ids) and l.stream + 0 = held
        union all
        select l.id, l.version, l.position from outbox.log_archive l where l.id = any(ids) and l.stream + 0 = held;
end
$$;

ALTER FUNCTION outbox.find_appended(stream text, ids uuid[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.find_finished(consumer text, streams text[], id text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select i.entry_id from outbox.inbox i
    where i.consumer = find_finished.consumer and i.id = find_finished.id and i.stream = any(find_finished.streams)
    order by split_part(i.entry_id, '-', 1)::numeric, split_part(i.entry_id, '-', 2)::numeric
    limit 1
$$;

ALTER FUNCTION outbox.find_finished(consumer text, streams text[], id text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.find_unseen(condition json, seen pg_snapshot, own xid8, own_through bigint, era_floor bigint, OUT "position" bigint, OUT type text) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
declare
    -- Of its own transaction, a cursor has seen what was there when it was taken.
    late constant xid8[] := array(select x from pg_snapshot_xip(seen) x union select own where own is not null);
begin
    select found.position, found.type into find_unseen.position, find_unseen.type
    from outbox.condition_items(condition) i
    cross join lateral (
        select e.position, e.type
        from (
            select t.position, t.type, t.transaction_id from outbox.event_tag t where t.tag = i.tags[1] and t.transaction_id >= pg_snapshot_xmax(seen)
            union all
            select t.position, t.type, t.transaction_id
            from unnest(late) l (transaction_id) join outbox.event_tag t on t.tag = i.tags[1] and t.transaction_id = l.transaction_id
        ) e
        -- Before the era began there is nothing that its cursors have not seen, whatever the transaction ids are.
        where e.position > era_floor and (e.transaction_id is distinct from own or e.position > own_through)
          and (i.types is null or e.type = any(i.types))
          and not exists (select from unnest(i.tags[2:]) o (tag)
                          where not exists (select from outbox.event_tag p where p.tag = o.tag and p.position = e.position))
    ) found
    order by found.position limit 1;
end
$$;

ALTER FUNCTION outbox.find_unseen(condition json, seen pg_snapshot, own xid8, own_through bigint, era_floor bigint, OUT "position" bigint, OUT type text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.find_untagged() RETURNS TABLE("position" bigint, tag text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select l.position, t.tag
    from outbox.log l cross join lateral (select distinct u.tag from unnest(l.tags) u (tag)) t
    where l.retention in ('stream', 'archive') and l.tags is not null
      and not exists (select from outbox.event_tag known where known.tag = t.tag and known.position = l.position)
$$;

ALTER FUNCTION outbox.find_untagged() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.floor_of_new(done pg_snapshot, above bigint, through bigint) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
begin
    return (
        select coalesce(min(new_row.position) - 1, through)
        from (
            -- In the order of the index that is to be used.
            select l.position from outbox.log l
            where l.retention in ('stream', 'archive') and l.stream is not null
              and l.transaction_id >= pg_snapshot_xmax(done) and l.position > above and l.position <= through
            order by l.transaction_id, l.position
            offset 0
        ) new_row);
end
$$;

ALTER FUNCTION outbox.floor_of_new(done pg_snapshot, above bigint, through bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.follow_settled() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    perform outbox.settle(case tg_table_name when 'topic' then array['settled_retention'] else array['settled_source', 'settled_payload_limit'] end);
    return null;
end
$$;

ALTER FUNCTION outbox.follow_settled() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.forget_consumer(consumer text, reason text, give_up boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '5s'
    AS $$
declare
    alive text;
    letters bigint;
    waiting bigint;
    marks bigint;
begin
    perform outbox.require_consumer(consumer, reason);
    perform from outbox.consumer c where c.name = forget_consumer.consumer for update;
    alive := coalesce(
        (select m.member from outbox.consumer_member m
         where m.consumer = forget_consumer.consumer and m.seen_at > clock_timestamp() - interval '1 minute' order by m.seen_at desc limit 1),
        (select l.holder from outbox.consumer_lease l
         where l.consumer = forget_consumer.consumer and l.holder is not null and l.expires_at > clock_timestamp() limit 1));
    if alive is not null then
        raise exception 'consumer % is not gone: member % was seen within the last minute', consumer, alive
            using errcode = 'invalid_parameter_value', hint = 'Stop its members first.';
    end if;
    select count(*) into letters from outbox.dead_letter d
    where d.consumer = forget_consumer.consumer and d.state in ('dead', 'redriving');
    -- A letter that goes back waits as an event and is counted once.
    select count(*) into waiting from outbox.parked_event e where e.consumer = forget_consumer.consumer and e.dead_letter is null;
    if letters + waiting > 0 and not give_up then
        raise exception 'of consumer % % open dead letters and % parked events still wait', consumer, letters, waiting
            using errcode = 'invalid_parameter_value', hint = 'With give_up => true they are given up for good.';
    end if;
    if letters + waiting > 0 then
        perform outbox.give_up_waiting(consumer);
    end if;
    delete from outbox.stream_mark m where m.consumer = forget_consumer.consumer;
    get diagnostics marks = row_count;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('forget', consumer, jsonb_build_object('streams', marks, 'dead letters', letters, 'parked events', waiting), reason);
    return letters + waiting;
end
$$;

ALTER FUNCTION outbox.forget_consumer(consumer text, reason text, give_up boolean) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.forget_events(consumer text, streams text[], epochs bigint[], after_batch numeric, after_position numeric, name text, first_page bigint, pages bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    forgotten bigint;
begin
    perform outbox.require_seized(consumer, streams, epochs);
    -- The audit row of that step says that the inbox is forgotten: there is none for each stretch.
    if exists (select from unnest(streams) given (stream)
               where not exists (select from outbox.consumer_stream p
                                 where p.consumer = forget_events.consumer and p.stream = given.stream and p.replayed_batch is not null)) then
        raise exception 'consumer % was not set back with its inbox to be forgotten', consumer
            using errcode = 'object_not_in_prerequisite_state', hint = 'outbox.seek_stream comes first.';
    end if;
    if name <> 'inbox_foreign'
       and not exists (select from pg_inherits where inhparent = 'outbox.inbox'::regclass and inhrelid = to_regclass(format('outbox.%I', name))) then
        return 0;
    end if;
    begin
        execute format(
            'with gone as (
                 delete from outbox.%I i where i.ctid >= $1 and i.ctid < $2 and i.consumer = $3 and i.stream = any($4) and i.outcome <> ''parked''
                     and outbox.entry_is_after(i.entry_id, $5, $6)
                     and not (i.outcome = ''dead'' and exists (
                         select from outbox.dead_letter d
                         where d.consumer = i.consumer and d.stream = i.stream and d.entry_id = i.entry_id and d.state in (''dead'', ''redriving'')))
                 returning i.source, i.id
             ), unkeyed as (
                 delete from outbox.inbox_keyed k using gone where k.consumer = $3 and k.source = gone.source and k.id = gone.id
             )
             select count(*) from gone', name)
        into forgotten
        using format('(%s,0)', first_page)::tid, format('(%s,0)', first_page + pages)::tid, consumer, streams, after_batch, after_position;
    exception when undefined_table then
        -- The day was dropped meanwhile, and what it had with it.
        if to_regclass(format('outbox.%I', name)) is not null then
            raise;
        end if;
        return 0;
    end;
    return forgotten;
end
$_$;

ALTER FUNCTION outbox.forget_events(consumer text, streams text[], epochs bigint[], after_batch numeric, after_position numeric, name text, first_page bigint, pages bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.forget_foreign(most integer DEFAULT 10000) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '100ms'
    AS $$
declare
    victims outbox.inbox_foreign[];
    forgotten integer;
begin
    select array_agg(old.g) into victims from (
        select g from outbox.inbox_foreign g
        where g.applied_at < clock_timestamp() - outbox.inbox_kept()
          -- What waits may still have its effect.
          and g.outcome <> 'parked'
          and (g.outcome <> 'dead' or not exists (
              select from outbox.dead_letter d
              where d.consumer = g.consumer and d.source = g.source and d.id = g.id and d.state in ('dead', 'redriving')))
        order by g.applied_at limit most) old;
    delete from outbox.inbox_foreign f
    using unnest(victims) victim
    where (f.consumer, f.source, f.id) = (victim.consumer, victim.source, victim.id) and f.applied_at = victim.applied_at
      and (victim.recorded_at is null
           or victim.recorded_at < (select c.forgotten_until from outbox.consumer c where c.name = victim.consumer));
    get diagnostics forgotten = row_count;
    insert into outbox.consumer as known (name, forgotten_until)
    select victim.consumer, max(victim.recorded_at) + interval '1 microsecond'
    from unnest(victims) victim where victim.recorded_at is not null group by victim.consumer
    on conflict (name) do update set forgotten_until = excluded.forgotten_until
    where known.forgotten_until is null or known.forgotten_until < excluded.forgotten_until;
    return forgotten;
exception
    when lock_not_available then
        return 0;
end
$$;

ALTER FUNCTION outbox.forget_foreign(most integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.forget_group(topic text, name text, reason text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION outbox.forget_group(topic text, name text, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.forget_inbox(most integer DEFAULT 10) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '100ms'
    AS $_$
declare
    victim record;
begin
    -- One at a time: two would wait for what the other one has read, with the inbox in hand.
    if not pg_try_advisory_xact_lock(122550254464891) then
        return 0;
    end if;
    perform outbox.forget_foreign(most * 1000);
    insert into outbox.consumer (name) select distinct l.consumer from outbox.consumer_lease l on conflict do nothing;
    begin
        for victim in
            select to_date(substring(c.relname from 7), 'YYYYMMDD') as day, c.relname::text as name
            from pg_inherits join pg_class c on c.oid = inhrelid
            where inhparent = 'outbox.inbox'::regclass order by c.relname
        loop
            continue when not outbox.inbox_day_is_over(victim.day, victim.name);
            execute format('lock table outbox.%I in share mode', victim.name);
            continue when not outbox.inbox_day_is_over(victim.day, victim.name);
            execute format(
                'update outbox.consumer c set forgotten_until = greatest(c.forgotten_until, $1)
                 where exists (select from outbox.%I i where i.consumer = c.name)', victim.name)
            using (victim.day + 1)::timestamp at time zone 'UTC';
            -- Nothing is applied or parked from here on: what was opened since the last look is seen now.
            lock table only outbox.inbox in access exclusive mode;
            if not outbox.inbox_day_is_closed(victim.day) then
                raise lock_not_available;
            end if;
            execute format('drop table outbox.%I', victim.name);
            return 1;
        end loop;
    exception
        when lock_not_available then null;
    end;
    return 0;
end
$_$;

ALTER FUNCTION outbox.forget_inbox(most integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.forget_keyed(most integer DEFAULT 10000) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '5s'
    AS $$
declare
    removed integer;
begin
    delete from outbox.inbox_keyed k
    where (k.consumer, k.topic, k.identity) in (
        select o.consumer, o.topic, o.identity
        from (select c.name, least(clock_timestamp(), outbox.inbox_passed_until(c.name)) as passed_until from outbox.consumer c offset 0) of_group
        join outbox.inbox_keyed o on o.consumer = of_group.name and o.expires_at < of_group.passed_until
        where o.came_at + (o.expires_at - o.entered_at) < clock_timestamp()
        limit most
        for update of o skip locked);
    get diagnostics removed = row_count;
    return removed;
end
$$;

ALTER FUNCTION outbox.forget_keyed(most integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.forget_subject(subject text, reason text) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    destroyed uuid;
begin
    if coalesce(btrim(reason), '') = '' then
        raise exception 'a reason must be given: it stays in outbox.subject_step' using errcode = 'invalid_parameter_value';
    end if;
    update outbox.subject_key k set subject = null, wrapped_key = null, destroyed_at = clock_timestamp()
    where k.subject = forget_subject.subject
    returning k.id into destroyed;
    if destroyed is null then
        raise exception 'this subject has no key: it was forgotten before, or nothing was sealed for it' using errcode = 'no_data_found';
    end if;
    insert into outbox.subject_step (key_id, action, reason) values (destroyed, 'destroy', forget_subject.reason);
    return destroyed;
end
$$;

ALTER FUNCTION outbox.forget_subject(subject text, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.give_back(consumer text, sources text[], ids text[], recorded timestamp with time zone[], topic text, identities bytea[]) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
declare
    removed integer;
    without_day integer;
begin
    delete from outbox.inbox i
    using unnest(sources, ids, recorded) given (source, id, recorded_at)
    where i.consumer = give_back.consumer and i.source = given.source and i.id = given.id and i.recorded_at = given.recorded_at
      and i.recorded_at = any(recorded) and i.xmin = pg_current_xact_id()::xid;
    get diagnostics removed = row_count;
    if removed < cardinality(ids) then
        delete from outbox.inbox_foreign f
        using unnest(sources, ids) given (source, id)
        where f.consumer = give_back.consumer and f.source = given.source and f.id = given.id
          and f.xmin = pg_current_xact_id()::xid;
        get diagnostics without_day = row_count;
        removed := removed + without_day;
    end if;
    delete from outbox.inbox_keyed k
    using unnest(sources, ids, identities) given (source, id, identity)
    where k.consumer = give_back.consumer and k.topic = give_back.topic and k.identity = given.identity
      and k.source = given.source and k.id = given.id and k.xmin = pg_current_xact_id()::xid;
    return removed;
end
$$;

ALTER FUNCTION outbox.give_back(consumer text, sources text[], ids text[], recorded timestamp with time zone[], topic text, identities bytea[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.give_up_waiting(consumer text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    update outbox.operation o set state = 'cancelled' where o.consumer = give_up_waiting.consumer and o.state = 'running';
    update outbox.operation_item i
    set state = case i.state when 'waiting' then 'dropped' else 'dead' end, changed_at = clock_timestamp()
    from outbox.operation o
    where o.number = i.operation and o.consumer = give_up_waiting.consumer and i.state in ('waiting', 'released');
    -- First the lanes, then the letters, as the transactions that apply do it.
    perform from outbox.parked_lane l where l.consumer = give_up_waiting.consumer order by l.flow, l.lane for update;
    update outbox.inbox i set outcome = 'dead'
    from outbox.parked_event e
    where e.consumer = give_up_waiting.consumer
      and (i.consumer, i.source, i.id, i.recorded_at) = (e.consumer, e.source, e.id, e.recorded_at) and i.outcome = 'parked';
    update outbox.inbox_foreign i set outcome = 'dead'
    from outbox.parked_event e
    where e.consumer = give_up_waiting.consumer
      and (i.consumer, i.source, i.id) = (e.consumer, e.source, e.id) and i.outcome = 'parked';
    delete from outbox.parked_event e where e.consumer = give_up_waiting.consumer;
    delete from outbox.parked_lane l where l.consumer = give_up_waiting.consumer;
    update outbox.dead_letter d set state = 'dead', changed_at = clock_timestamp()
    where d.consumer = give_up_waiting.consumer and d.state = 'redriving';
    update outbox.dead_letter d set state = 'discarded', changed_at = clock_timestamp()
    where d.consumer = give_up_waiting.consumer and d.state = 'dead';
end
$$;

ALTER FUNCTION outbox.give_up_waiting(consumer text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.groups_of(topic text, partition integer) RETURNS TABLE(name text, action text, is_own boolean, delivered text, reason text, actor text, acted_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select distinct on (latest.name)
           latest.name, latest.action, latest.partition = groups_of.partition, latest.delivered, latest.reason, latest.actor, latest.acted_at
    from (select distinct on (g.partition, g.name) g.*
          from outbox.stream_group g
          where g.topic = groups_of.topic and g.partition <= groups_of.partition
          order by g.partition, g.name, g.number desc) latest
    where latest.partition = groups_of.partition or latest.action = 'registered'
    order by latest.name, latest.partition = groups_of.partition desc, latest.number desc
$$;

ALTER FUNCTION outbox.groups_of(topic text, partition integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.history_refusal() RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
    present outbox.era;
    last outbox.batch;
    system_now bigint;
    timeline_now integer;
    refused record;
    begun record;
    late record;
begin
    select e.* into present from outbox.era e order by e.era desc limit 1;
    select b.* into last from outbox.batch b order by b.number desc limit 1;
    select s.system_identifier into system_now from pg_catalog.pg_control_system() s;
    timeline_now := ('x' || substring(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer;
    select r.number, r.strategy into begun from outbox.recovery r where r.state in ('begun', 'opened') order by r.number limit 1;
    if found then
        return format('RECOVERY-UNFINISHED: recovery %s (%s) was begun and is not finished', begun.number, begun.strategy);
    end if;
    select r.code, r.said into refused from outbox.refusal r where r.closed_at is null order by r.number limit 1;
    if found then
        return format('%s: %s', refused.code, refused.said);
    elsif system_now <> present.system_identifier then
        return format('POSTGRES-MOVED: the ledger was written on server %s, this is server %s', present.system_identifier, system_now);
    elsif pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax(last.snapshot) then
        return format('POSTGRES-WENT-BACK: the last batch has seen transactions up to %s, this server is at %s',
                      pg_snapshot_xmax(last.snapshot), pg_snapshot_xmax(pg_current_snapshot()));
    elsif timeline_now <> present.timeline
          and not exists (select from outbox.timeline t where t.era = present.era and t.timeline = timeline_now) then
        return format('POSTGRES-WENT-BACK: this server is on timeline %s, and no relay has led on it: it was restored or promoted, and whether everything published is known here nobody has looked', timeline_now);
    end if;
    -- An event that no batch has and none will have: see tail/find_passed_over.sql.
    with recent as materialized (
        select b.number, b.kind, b.snapshot, b.last_position
        from outbox.batch b where b.number >= present.batch_number order by b.number desc limit 1000
    ), ends as materialized (
        select (select r.snapshot from recent r order by r.number limit 1) as first,
               greatest((select max(r.last_position) from recent r where r.kind = 'cut'), present.position_floor) as through
    )
    select newest.position, newest.transaction_id into late
    from ends
    cross join lateral (
        select l.position, l.transaction_id from outbox.log l
        where l.transaction_id < pg_snapshot_xmax(last.snapshot)
        order by l.transaction_id desc, l.position desc limit 2000
    ) newest
    where newest.position > ends.through
      and pg_visible_in_snapshot(newest.transaction_id, last.snapshot) and not pg_visible_in_snapshot(newest.transaction_id, ends.first)
    order by newest.position limit 1;
    if found then
        return format('POSTGRES-WENT-BACK: the event at position %s is of transaction %s, which the last batch took for seen, and no batch has it',
                      late.position, late.transaction_id);
    end if;
    return null;
end
$$;

ALTER FUNCTION outbox.history_refusal() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.hold_boundary(streams text[], expected bigint[], ids uuid[], tags text[], condition json, cursor text, OUT "position" bigint, OUT type text, OUT versions bigint[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
declare
    read record;
    filter text;
    watched constant text[] := array(select i.tags[1] from outbox.condition_items(condition) i);
    kept constant text[] := outbox.tags_of(tags);
    place integer;
    held record;
    held_ids bigint[] := '{}';
begin
    if coalesce(cardinality(streams), 0) = 0 then
        raise exception 'append refused: a conditional append names one stream at least' using errcode = 'invalid_parameter_value';
    end if;
    versions := array_fill(0::bigint, array[cardinality(streams)]);
    for place in select s.n from unnest(streams) with ordinality s (name, n) order by s.name collate "C" loop
        held := outbox.hold_stream(streams[place], coalesce(expected[place], 0) = 0);
        versions[place] := coalesce(held.version, 0);
        held_ids := held_ids || held.id;
    end loop;
    -- In these streams, which are locked: an event of another one might be gone before it is looked for again.
    if exists (select from unnest(ids) e (id) cross join lateral (
                   select l.stream from outbox.log_stream l where l.id = e.id union all select l.stream from outbox.log_archive l where l.id = e.id) known
               where known.stream = any(held_ids)) then
        return;
    end if;
    read := outbox.cursor_snapshot(cursor);
    filter := (outbox.parse_cursor(cursor)).filter;
    if filter not in ('-', outbox.condition_filter(condition)) then
        raise exception 'this cursor is of a read of something else than this condition: what that took no notice of may have been there'
            using errcode = 'OB410', hint = 'Give the cursor of a read of this very condition, or of a read of everything.';
    end if;
    perform outbox.hold_tags(kept, watched);
    select u.position, u.type into hold_boundary.position, hold_boundary.type
    from outbox.find_unseen(condition, read.snapshot, read.own, read.own_through, read.era_floor) u;
    if hold_boundary.position is null then
        -- Those of the events are counted again where they are appended.
        perform set_config('outbox.tags_held', (current_setting('outbox.tags_held')::integer - cardinality(kept))::text, true);
    end if;
end
$$;

ALTER FUNCTION outbox.hold_boundary(streams text[], expected bigint[], ids uuid[], tags text[], condition json, cursor text, OUT "position" bigint, OUT type text, OUT versions bigint[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.hold_recovery(recovery bigint, epoch bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION outbox.hold_recovery(recovery bigint, epoch bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.hold_stream(stream text, may_make boolean, OUT id bigint, OUT category integer, OUT version bigint) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
declare
    category_name text;
    is_buried boolean;
begin
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        raise exception 'refused: streams are held in READ COMMITTED transactions, and this one is %', upper(current_setting('transaction_isolation'))
            using errcode = 'feature_not_supported', hint = 'Under one snapshot the version would be that of its beginning. The version check is what guards the decision.';
    end if;
    select s.id, s.category into hold_stream.id, hold_stream.category
    from outbox.stream s where s.name = hold_stream.stream for no key update;
    if not found then
        category_name := outbox.category_of(stream);
        if category_name is null then
            raise exception 'stream refused: the name must be <category>-<id>, at most 400 bytes, category of A-Z a-z 0-9 . _, id without spaces, got %', quote_nullable(left(stream, 100))
                using errcode = 'invalid_parameter_value';
        elsif not may_make then
            return;
        end if;
        select c.id into hold_stream.category from outbox.category c where c.name = category_name;
        if not found then
            insert into outbox.category (name) values (category_name) on conflict do nothing;
            select c.id into hold_stream.category from outbox.category c where c.name = category_name;
        end if;
        insert into outbox.stream (category, name) values (hold_stream.category, hold_stream.stream)
        on conflict do nothing returning stream.id into hold_stream.id;
        if not found then
            -- Somebody made it meanwhile, and has committed.
            select s.id into hold_stream.id from outbox.stream s where s.name = hold_stream.stream for no key update;
        else
            version := 0;
            return;
        end if;
    end if;
    select (select l.version from outbox.log_stream l where l.stream = hold_stream.id order by l.version desc limit 1),
           exists (select from outbox.stream_step s where s.stream = hold_stream.id and s.action = 'tombstone')
    into hold_stream.version, is_buried;
    if is_buried then
        raise exception 'stream % is buried: it was given a tombstone, and takes no events', hold_stream.stream
            using errcode = 'object_not_in_prerequisite_state', hint = 'Append to a stream of another name.';
    elsif version is null then
        select coalesce(max(s.through), 0) into hold_stream.version from outbox.stream_step s where s.stream = hold_stream.id;
    end if;
end
$$;

ALTER FUNCTION outbox.hold_stream(stream text, may_make boolean, OUT id bigint, OUT category integer, OUT version bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.hold_subject_key(subject text, proposed_id uuid, proposed_key bytea, proposed_master text, OUT id uuid, OUT wrapped_key bytea, OUT master_key text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    for try in 1..3 loop
        select k.id, k.wrapped_key, k.master_key into hold_subject_key.id, hold_subject_key.wrapped_key, hold_subject_key.master_key
        from outbox.subject_key k where k.subject = hold_subject_key.subject for share;
        if found then
            return;
        end if;
        insert into outbox.subject_key (id, subject, wrapped_key, master_key)
        values (proposed_id, hold_subject_key.subject, proposed_key, proposed_master)
        on conflict do nothing;
    end loop;
    raise exception 'the key of a subject was destroyed each time it was asked for' using errcode = 'serialization_failure';
end
$$;

ALTER FUNCTION outbox.hold_subject_key(subject text, proposed_id uuid, proposed_key bytea, proposed_master text, OUT id uuid, OUT wrapped_key bytea, OUT master_key text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.hold_tags(kept text[], watched text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION outbox.hold_tags(kept text[], watched text[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.hold_to_keep(stream text, reason text, max integer, OUT id bigint, OUT version bigint) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    perform outbox.refuse_to_keep(reason, max);
    select h.id, h.version into hold_to_keep.id, hold_to_keep.version from outbox.hold_stream(hold_to_keep.stream, false) h;
    if hold_to_keep.id is null then
        raise exception 'stream % is not there', hold_to_keep.stream using errcode = 'no_data_found';
    end if;
end
$$;

ALTER FUNCTION outbox.hold_to_keep(stream text, reason text, max integer, OUT id bigint, OUT version bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.hold_topics(stream bigint, first bigint, last bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    topics text[];
begin
    select array_agg(distinct l.topic order by l.topic) into topics
    from outbox.log l
    where l.retention in ('stream', 'archive') and l.stream = hold_topics.stream and l.version between first and last and l.topic is not null;
    if topics is null then
        return;
    end if;
    -- An era counts what is there when it is opened: a recovery begins behind this transaction, or is seen by what follows.
    lock table outbox.recovery in share mode;
    perform pg_advisory_xact_lock_shared(outbox.removal_lock(t)) from unnest(topics) t order by t;
end
$$;

ALTER FUNCTION outbox.hold_topics(stream bigint, first bigint, last bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.inbox_day_is_closed(day date) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    begins timestamptz := day::timestamp at time zone 'UTC';
    ends timestamptz := (day + 1)::timestamp at time zone 'UTC';
    kept interval := outbox.inbox_kept();
begin
    if kept is null or ends + kept >= clock_timestamp() then
        return false;
    end if;
    if exists (select from outbox.dead_letter d where d.recorded_at >= begins and d.recorded_at < ends and d.state in ('dead', 'redriving'))
       or exists (select from outbox.parked_event e where e.recorded_at >= begins and e.recorded_at < ends) then
        return false;
    end if;
    return (outbox.inbox_passed_until() >= ends) is not false or (select s.forced_reason is not null from outbox.inbox_settings s);
end
$$;

ALTER FUNCTION outbox.inbox_day_is_closed(day date) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.inbox_day_is_over(day date, name text) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    is_recent boolean;
begin
    if not outbox.inbox_day_is_closed(day) then
        return false;
    end if;
    begin
        execute format('select exists (select from outbox.%I where applied_at > $1)', name) into is_recent using clock_timestamp() - outbox.inbox_kept();
    exception when undefined_table then
        return false;
    end;
    return not is_recent;
end
$_$;

ALTER FUNCTION outbox.inbox_day_is_over(day date, name text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.inbox_days() RETURNS TABLE(day date, name text, estimated_rows bigint, bytes bigint, kept_until timestamp with time zone, droppable boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    kept interval := outbox.inbox_kept();
begin
    for day, name, estimated_rows, bytes in
        select to_date(substring(c.relname from 7), 'YYYYMMDD'), c.relname::text, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid)
        from pg_inherits join pg_class c on c.oid = inhrelid
        where inhparent = 'outbox.inbox'::regclass order by c.relname
    loop
        kept_until := (day + 1)::timestamp at time zone 'UTC' + kept;
        droppable := outbox.inbox_day_is_over(day, name);
        continue when to_regclass('outbox.' || name) is null;
        return next;
    end loop;
end
$$;

ALTER FUNCTION outbox.inbox_days() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.inbox_floor(of_consumer text DEFAULT NULL::text, OUT floor interval, OUT reason text) RETURNS record
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with source as (
        select null::interval as span, format('stream %s is never trimmed: any of its events can come again', m.stream) as why, 1 as rank
        from outbox.stream_mark m
        where m.retention_seconds = 0 and (of_consumer is null or m.consumer = of_consumer)
        union all
        select justify_hours(make_interval(secs => m.retention_seconds)),
               format('stream %s keeps its entries for %s', m.stream, justify_hours(make_interval(secs => m.retention_seconds))), 2
        from outbox.stream_mark m
        where m.retention_seconds > 0 and (of_consumer is null or m.consumer = of_consumer)
        union all
        select s.redrive_age, format('dead letters may be put back for %s (redrive_age)', s.redrive_age), 3 from outbox.inbox_settings s
        union all
        select s.republish_window, format('the relay may publish again what is up to %s old (republish_window)', s.republish_window), 4
        from outbox.inbox_settings s
    )
    select source.span, source.why from source order by source.span desc nulls first, source.rank, source.why limit 1
$$;

ALTER FUNCTION outbox.inbox_floor(of_consumer text, OUT floor interval, OUT reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.inbox_kept() RETURNS interval
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case when s.forced_reason is not null then s.keep
                -- greatest() passes over null, which is for ever here.
                when s.keep is null or f.floor is null then null
                else greatest(s.keep, f.floor)
           end
    from outbox.inbox_settings s, outbox.inbox_floor() f
$$;

ALTER FUNCTION outbox.inbox_kept() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.inbox_needed(of_consumer text DEFAULT NULL::text, OUT consumer text, OUT since timestamp with time zone, OUT why text) RETURNS record
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select need.consumer, need.since, need.why
    from (
        select m.consumer,
               case when p.passed_batch >= m.published_batch then m.seen_at
                    else to_timestamp((coalesce(p.passed_batch, 0) / 1000)::double precision) end as since,
               case when p.passed_batch >= m.published_batch then format('no member looked at stream %s since', m.stream)
                    else format('stream %s is not passed', m.stream) end as why
        from outbox.stream_mark m
        left join outbox.consumer_stream p on p.consumer = m.consumer and p.stream = m.stream
        where (of_consumer is null or m.consumer = of_consumer) and (select s.forced_reason is null from outbox.inbox_settings s)
        union all
        (select d.consumer, d.recorded_at, format('dead letter %s is open', d.number) from outbox.dead_letter d
         where d.state in ('dead', 'redriving') and d.recorded_at is not null and (of_consumer is null or d.consumer = of_consumer)
         order by d.recorded_at limit 1)
        union all
        (select e.consumer, e.recorded_at, 'events wait in a parked key' from outbox.parked_event e
         where e.recorded_at is not null and (of_consumer is null or e.consumer = of_consumer)
         order by e.recorded_at limit 1)
    ) need
    order by need.since, need.consumer limit 1
$$;

ALTER FUNCTION outbox.inbox_needed(of_consumer text, OUT consumer text, OUT since timestamp with time zone, OUT why text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.inbox_passed_until(of_consumer text DEFAULT NULL::text) RETURNS timestamp with time zone
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select min(case when p.passed_batch >= m.published_batch then m.seen_at
                    else to_timestamp((coalesce(p.passed_batch, 0) / 1000)::double precision) end)
    from outbox.stream_mark m
    left join outbox.consumer_stream p on p.consumer = m.consumer and p.stream = m.stream
    where of_consumer is null or m.consumer = of_consumer
$$;

ALTER FUNCTION outbox.inbox_passed_until(of_consumer text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.inbox_tables() RETURNS TABLE(name text, pages bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select c.relname::text, pg_relation_size(c.oid) / current_setting('block_size')::bigint
    from pg_class c
    where c.oid = 'outbox.inbox_foreign'::regclass or c.oid in (select inhrelid from pg_inherits where inhparent = 'outbox.inbox'::regclass)
    order by c.relname
$$;

ALTER FUNCTION outbox.inbox_tables() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.is_buried(stream bigint) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select exists (select from outbox.stream_step s where s.stream = is_buried.stream and s.action = 'tombstone')
$$;

ALTER FUNCTION outbox.is_buried(stream bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.is_named_by_step(stream bigint, version bigint, actions text[]) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select exists (
        select from outbox.stream_step s
        where s.stream = is_named_by_step.stream and s.transaction_id = pg_current_xact_id_if_assigned() and s.action = any(actions)
          and is_named_by_step.version > s.through - s.events and is_named_by_step.version <= s.through)
$$;

ALTER FUNCTION outbox.is_named_by_step(stream bigint, version bigint, actions text[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.is_settled(name text, expression text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    SET standard_conforming_strings TO 'on'
    AS $$
    select d.description = outbox.said_of_settled(is_settled.expression, pg_get_function_sqlbody(p.oid))
    from pg_proc p join pg_description d on d.objoid = p.oid and d.classoid = 'pg_proc'::regclass
    where p.pronamespace = 'outbox'::regnamespace and p.proname = is_settled.name
$$;

ALTER FUNCTION outbox.is_settled(name text, expression text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.is_still_measured(topic text, measured pg_snapshot) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if not pg_try_advisory_xact_lock(outbox.removal_lock(topic)) then
        return false;
    end if;
    return not exists (select from outbox.removed r where r.topic = is_still_measured.topic and not pg_visible_in_snapshot(r.removed_by, measured));
end
$$;

ALTER FUNCTION outbox.is_still_measured(topic text, measured pg_snapshot) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.keep_entry() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    raise exception 'dead letter % keeps what came; an edit is kept beside it', old.number using errcode = 'check_violation';
end
$$;

ALTER FUNCTION outbox.keep_entry() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.keep_epoch_rising() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if new.epoch < old.epoch or (new.holder is distinct from old.holder and new.holder is not null and new.epoch = old.epoch) then
        raise exception 'lease %: epoch % held by % cannot become epoch % held by %', old.name, old.epoch, old.holder, new.epoch, new.holder
            using errcode = 'check_violation';
    end if;
    return new;
end
$$;

ALTER FUNCTION outbox.keep_epoch_rising() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.keep_era_starts() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into outbox.era_start (batch_number, topic, partition, first_position, kept_batch_id, kept_position)
    select new.batch_number, stream.topic, stream.partition, coalesce(share.first_position, 0), opened.chain_batch_id, opened.chain_position
    from outbox.topic_stream stream
    cross join lateral (
        select p.chain_batch_id, p.chain_position from outbox.progress p
        where p.topic = stream.topic and p.partition = stream.partition and p.batch_number = new.batch_number
        order by p.position, p.number
        limit 1
    ) opened
    left join outbox.share share on share.topic = stream.topic and share.partition = stream.partition and share.batch_number = new.batch_number
    where opened.chain_batch_id < new.batch_id;
    return null;
end
$$;

ALTER FUNCTION outbox.keep_era_starts() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.keep_layout_growing() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    previous outbox.topic_layout;
begin
    select * into previous from outbox.topic_layout l where l.topic = new.topic order by l.generation desc limit 1;
    if new.generation <> coalesce(previous.generation, 0) + 1 or new.partitions <= previous.partitions or new.batch_number <= previous.batch_number then
        raise exception 'layout % of topic % (% partitions from batch %) does not follow layout % (% from batch %)',
            new.generation, new.topic, new.partitions, new.batch_number, previous.generation, previous.partitions, previous.batch_number
            using errcode = 'check_violation';
    end if;
    return new;
end
$$;

ALTER FUNCTION outbox.keep_layout_growing() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.keep_misnamed(told json) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    insert into outbox.misnamed_topic as known (topic, event_count, first_position, last_position)
    select f.topic ->> 0, (f.topic ->> 1)::bigint, (f.topic ->> 2)::bigint, (f.topic ->> 3)::bigint from json_array_elements(told) f (topic)
    on conflict (topic) do update
    set event_count = known.event_count + excluded.event_count, first_position = least(known.first_position, excluded.first_position),
        last_position = greatest(known.last_position, excluded.last_position), seen_at = excluded.seen_at;
    return told::text;
end
$$;

ALTER FUNCTION outbox.keep_misnamed(told json) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.keep_one_chain() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION outbox.keep_one_chain() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.keep_outcome() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    raise exception 'event % of source % had its effect for consumer % and stays applied', old.id, old.source, old.consumer
        using errcode = 'check_violation';
end
$$;

ALTER FUNCTION outbox.keep_outcome() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.keep_partitions_growing() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if new.partitions not between 1 and 1024 then
        raise exception 'topic %: partitions must be 1 to 1024, got %', new.name, new.partitions
            using errcode = 'check_violation';
    elsif tg_op = 'UPDATE' and new.partitions < old.partitions then
        raise exception 'topic % has % partitions, and the number only grows: % refused', new.name, old.partitions, new.partitions
            using errcode = 'check_violation',
                  hint = 'Members of a consumer share the partitions; fewer members may own more of them each.';
    end if;
    -- A sleeping relay lays it at once.
    notify outbox;
    return new;
end
$$;

ALTER FUNCTION outbox.keep_partitions_growing() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.keep_seized(consumer text, streams text[], epochs bigint[], lease interval) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '5s'
    AS $$
begin
    perform outbox.require_seized(consumer, streams, epochs);
    update outbox.consumer_lease l
    set expires_at = clock_timestamp() + keep_seized.lease
    from unnest(streams, epochs) given (stream, epoch)
    where l.consumer = keep_seized.consumer and l.stream = given.stream and l.epoch = given.epoch;
end
$$;

ALTER FUNCTION outbox.keep_seized(consumer text, streams text[], epochs bigint[], lease interval) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.keep_snapshot(stream text, shape text, shape_version integer, begins bigint, version bigint, event uuid, state text, digest bytea) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    insert into outbox.stream_snapshot (stream, shape, shape_version, begins, version, event, state, digest)
    select s.id, keep_snapshot.shape, keep_snapshot.shape_version, keep_snapshot.begins, keep_snapshot.version, keep_snapshot.event,
           keep_snapshot.state, keep_snapshot.digest
    from outbox.stream s where s.name = keep_snapshot.stream
    on conflict on constraint stream_snapshot_pkey do update
    set begins = excluded.begins, version = excluded.version, event = excluded.event, state = excluded.state, digest = excluded.digest,
        made_at = excluded.made_at
$$;

ALTER FUNCTION outbox.keep_snapshot(stream text, shape text, shape_version integer, begins bigint, version bigint, event uuid, state text, digest bytea) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.key_number(key text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select ('x' || encode(substring(sha256(convert_to(key, 'UTF8')), 1, 4), 'hex'))::bit(32)::bigint
$$;

ALTER FUNCTION outbox.key_number(key text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.lay_pieces(parent regclass, first bigint, width bigint, pieces integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    lower_bound bigint := first;
    upper_bound text;
    name text;
begin
    for n in 0 .. pieces loop
        upper_bound := case when n = pieces then 'maxvalue' else (lower_bound + width * (1::bigint << n))::text end;
        name := (select relname from pg_class where oid = parent) || '_from_' || lower_bound;
        execute format('create table outbox.%I partition of %s for values from (%s) to (%s)',
            name, parent, case when n = 0 then 'minvalue' else lower_bound::text end, upper_bound);
        if name like 'log\_%' then
            execute format('create unique index on outbox.%I (id, source)', name);
        end if;
        if n < pieces then
            lower_bound := upper_bound::bigint;
        end if;
    end loop;
end
$$;

ALTER FUNCTION outbox.lay_pieces(parent regclass, first bigint, width bigint, pieces integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.layouts_in_force() RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    counts jsonb;
    unlaid text;
begin
    select jsonb_object_agg(t.name, laid.partitions), min(t.name) filter (where t.partitions is distinct from laid.partitions)
    into counts, unlaid
    from outbox.topic t
    left join lateral (
        select l.partitions from outbox.topic_layout l where l.topic = t.name order by l.generation desc limit 1
    ) laid on true
    where t.partitions > 1;
    if unlaid is not null then
        raise exception 'topic % should have more partitions than it has: they are laid before the next batch is cut', unlaid
            using errcode = 'OB428';
    end if;
    return jsonb_build_object('partitions', counts, 'layouts', (select count(*) from outbox.topic_layout));
end
$$;

ALTER FUNCTION outbox.layouts_in_force() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.leaving_open(snapshot pg_snapshot, transaction xid8) RETURNS pg_snapshot
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case when transaction >= pg_snapshot_xmax(snapshot) or transaction is null then snapshot
                else (least(pg_snapshot_xmin(snapshot)::text::numeric, transaction::text::numeric) || ':' || pg_snapshot_xmax(snapshot) || ':'
                      || (select string_agg(open.id::text, ',' order by open.id)
                          from (select pg_snapshot_xip(snapshot) as id union select transaction) open))::pg_snapshot end
$$;

ALTER FUNCTION outbox.leaving_open(snapshot pg_snapshot, transaction xid8) OWNER TO outbox_maintainer;

CREATE TABLE outbox.parked_lane (
    consumer text NOT NULL,
    flow text NOT NULL,
    lane text NOT NULL,
    state text NOT NULL,
    stream text NOT NULL,
    due_at timestamp with time zone DEFAULT 'infinity'::timestamp with time zone NOT NULL,
    parked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT parked_lane_check CHECK (((state = ANY (ARRAY['retrying'::text, 'draining'::text])) = (due_at < 'infinity'::timestamp with time zone))),
    CONSTRAINT parked_lane_flow_check CHECK ((flow <> ''::text)),
    CONSTRAINT parked_lane_lane_check CHECK ((lane ~ '^[ke]'::text)),
    CONSTRAINT parked_lane_state_check CHECK ((state = ANY (ARRAY['retrying'::text, 'waiting_version'::text, 'dead'::text, 'draining'::text])))
)
WITH (fillfactor='50');

ALTER TABLE outbox.parked_lane OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.parked_lane IS 'Keys that wait. retrying: the first event failed and is tried again when due. waiting_version: until a member knows its version. dead: the first one is a dead letter, those behind it wait. draining: going back, in order.';

CREATE FUNCTION outbox.let_lane_go_on(line outbox.parked_lane, is_free boolean, place bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    first bigint := (select min(e.place) from outbox.parked_event e
                     where (e.consumer, e.flow, e.lane) = (line.consumer, line.flow, line.lane));
begin
    if first is null then
        delete from outbox.parked_lane l where (l.consumer, l.flow, l.lane) = (line.consumer, line.flow, line.lane);
    elsif is_free and (line.state = 'dead' or first = let_lane_go_on.place) then
        update outbox.parked_lane l set state = 'draining', due_at = clock_timestamp(), changed_at = clock_timestamp()
        where (l.consumer, l.flow, l.lane) = (line.consumer, line.flow, line.lane);
    end if;
end
$$;

ALTER FUNCTION outbox.let_lane_go_on(line outbox.parked_lane, is_free boolean, place bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.locate_entry(topic text, partition integer, batch_id bigint, "position" bigint, OUT number bigint, OUT base pg_snapshot, OUT base_number bigint, OUT passed_snapshots pg_snapshot[], OUT passed_positions bigint[], OUT accepted_in integer) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    all_of_it constant pg_snapshot := '9223372036854775807:9223372036854775807:';
    present outbox.era;
    opened outbox.era;
    kept outbox.batch;
    before outbox.batch;
    again outbox.reissue;
    base_era integer;
begin
    select e.* into present from outbox.era e order by e.era desc limit 1;
    select b.* into kept from outbox.batch b
    where b.batch_id = locate_entry.batch_id
      and (b.number = 0
           or exists (select from outbox.share s
                      where s.topic = locate_entry.topic and s.partition = locate_entry.partition and s.batch_number = b.number
                        and locate_entry.position between s.first_position and s.last_position));
    if kept.number is null then
        select e.* into opened from outbox.era e where e.batch_number > 0 and e.batch_id > locate_entry.batch_id order by e.era limit 1;
        if opened.era is null
           or locate_entry.batch_id < (select o.batch_id from outbox.batch o order by o.number limit 1)
           or not exists (select from outbox.recovery r where r.era = opened.era and r.strategy = 'trust-stream')
           or not exists (select from outbox.era_start k
                          where k.batch_number = opened.batch_number and k.topic = locate_entry.topic and k.partition = locate_entry.partition
                            and (k.kept_batch_id, k.kept_position) >= (locate_entry.batch_id, locate_entry.position)) then
            return;
        end if;
        accepted_in := opened.era;
        number := opened.batch_number;
        base := '3:3:';
        base_number := 0;
        select s.passed_snapshots || all_of_it, s.passed_positions || 0::bigint into passed_snapshots, passed_positions
        from outbox.era_share s
        where s.batch_number = opened.batch_number and s.topic = locate_entry.topic and s.partition = locate_entry.partition;
        if passed_snapshots is null then
            passed_snapshots := array[all_of_it];
            passed_positions := array[opened.position_floor];
        end if;
        return;
    end if;

    select r.* into again from outbox.reissue r
    where r.batch_number = kept.number and r.topic = locate_entry.topic and r.partition = locate_entry.partition;
    select b.* into before from outbox.batch b where b.number = greatest(kept.number - 1, 0);
    if again.batch_number is null and before.number is null then
        -- What the entry's own batch has is not known: the piece of the ledger before it is gone.
        return;
    end if;
    base_era := coalesce((select b.era from outbox.batch b where b.number = again.base_number), kept.era);
    number := kept.number;
    if present.era > 1 and (kept.kind = 'era' or base_era < present.era or again.base::text = '3:3:') then
        base := '3:3:';
        base_number := 0;
        select told.passed_snapshots, told.passed_positions into passed_snapshots, passed_positions
        from outbox.behind_entry(locate_entry.topic, locate_entry.partition, locate_entry.batch_id, locate_entry.position, 9223372036854775807) told;
        if passed_snapshots is null then
            number := null;
        end if;
        return;
    end if;
    base := coalesce(again.base, before.snapshot);
    base_number := coalesce(again.base_number, greatest(kept.number - 1, 0));
    passed_snapshots := '{}';
    passed_positions := '{}';
    if present.position_floor > 0 then
        passed_snapshots := array[all_of_it];
        passed_positions := array[present.position_floor];
    end if;
    if again.batch_number is not null then
        -- What is above a lower position of an earlier snapshot follows from being above this one of a later snapshot.
        select passed_snapshots || coalesce(array_agg(e.snapshot order by e.n), '{}') || all_of_it,
               passed_positions || coalesce(array_agg(e.position order by e.n), '{}') || least(locate_entry.position, present.position_floor)
        into passed_snapshots, passed_positions
        from unnest(again.passed_snapshots, again.passed_positions) with ordinality e (snapshot, "position", n)
        where e.position > locate_entry.position;
    end if;
    passed_snapshots := passed_snapshots || kept.snapshot;
    passed_positions := passed_positions || locate_entry.position;
end
$$;

ALTER FUNCTION outbox.locate_entry(topic text, partition integer, batch_id bigint, "position" bigint, OUT number bigint, OUT base pg_snapshot, OUT base_number bigint, OUT passed_snapshots pg_snapshot[], OUT passed_positions bigint[], OUT accepted_in integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.look_up_payload_limit() RETURNS integer
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    perform outbox.need_settings();
    return (select s.payload_limit_bytes from outbox.settings s);
end
$$;

ALTER FUNCTION outbox.look_up_payload_limit() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.look_up_retention(topic text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return coalesce((select k.retention from outbox.topic k where k.name = topic), 'standard');
end
$$;

ALTER FUNCTION outbox.look_up_retention(topic text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.look_up_source() RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    perform outbox.need_settings();
    return (select s.source from outbox.settings s);
end
$$;

ALTER FUNCTION outbox.look_up_source() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.master_keys() RETURNS TABLE(name text, keys bigint, first_used_at timestamp with time zone, retired_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select m.name, coalesce(wrapped.keys, 0), m.first_used_at, m.retired_at
    from outbox.master_key m
    left join (select k.master_key, count(*) as keys from outbox.subject_key k where k.wrapped_key is not null group by k.master_key) wrapped
        on wrapped.master_key = m.name
    order by m.first_used_at, m.name
$$;

ALTER FUNCTION outbox.master_keys() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.may_see_keys() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select has_table_privilege('outbox.dead_letter', 'select')
$$;

ALTER FUNCTION outbox.may_see_keys() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.must_ring() RETURNS boolean
    LANGUAGE plpgsql STABLE
    AS $$
begin
    return coalesce(pg_catalog.current_setting('outbox.notify', true) operator(pg_catalog.<>) 'off', true)
       and not pg_catalog.pg_try_advisory_xact_lock_shared(122550254464888);
end
$$;

ALTER FUNCTION outbox.must_ring() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.need_of(topics text[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select need.what
    from (
        select 1 as place, format('topic %s partition %s is %s (%s): see outbox_ops.topics', s.topic, greatest(s.partition - 1, 0), latest.action, latest.reason) as what
        from outbox.topic_stream s
        cross join lateral (select a.action, a.reason from outbox.stream_action a
                            where a.topic = s.topic and a.partition = s.partition order by a.number desc limit 1) latest
        where s.topic = any(topics) and latest.action in ('lost', 'set_aside', 'blocked')
        union all
        select 2, format('group %s misses entry %s of stream %s: see outbox_ops.holes', h.group_name, h.missing, h.stream)
        from outbox.hole h where h.topic = any(topics)
        union all
        select 3, format('%s asked to have topic %s put out again from %s-%s on (order %s), and no relay has answered: see outbox_ops.reissue_orders',
                         o.actor, o.topic, o.from_batch_id, o.from_position, o.number)
        from outbox.reissue_order o where o.topic = any(topics) and o.state = 'waiting' and not o.is_preview
    ) need
    order by need.place, need.what limit 1
$$;

ALTER FUNCTION outbox.need_of(topics text[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.need_settings() RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if not exists (select from outbox.settings) then
        raise exception 'event refused: outbox.settings has no row, which has the source and the payload limit of this database'
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'Put it back as it was: insert into outbox.settings (database_id, source, writer, payload_limit_bytes) values (…).';
    end if;
end
$$;

ALTER FUNCTION outbox.need_settings() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.new_event_id() RETURNS uuid
    LANGUAGE plpgsql PARALLEL SAFE
    AS $$
begin
    return pg_catalog.encode(
        pg_catalog.set_bit(pg_catalog.set_bit(
            pg_catalog.overlay(pg_catalog.uuid_send(pg_catalog.gen_random_uuid()),
                pg_catalog.substring(pg_catalog.int8send((extract(epoch from pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000)::bigint), 3), 1, 6),
            52, 1), 53, 1),
        'hex')::pg_catalog.uuid;
end
$$;

ALTER FUNCTION outbox.new_event_id() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.new_of_categories(categories text[], after bigint, through bigint, first xid8, beyond bigint, goal pg_snapshot, max bigint) RETURNS TABLE("position" bigint, stream_id bigint, type text, bytes integer)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
begin
    return query
        select found.position, found.stream_id, found.type, found.bytes
        from unnest(array(select k.id from outbox.category k where k.name = any (new_of_categories.categories))) wanted (category_id)
        cross join lateral (
            select l.position, l.stream_id, l.type, coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
            from outbox.stored_event l
            -- Of one category, and so that no index but that of categories has their order.
            where (l.category_id, l.position) > (wanted.category_id, new_of_categories.after)
              and (l.category_id, l.position) <= (wanted.category_id, new_of_categories.through)
              and (l.transaction_id >= new_of_categories.first or l.position > new_of_categories.beyond)
              and pg_visible_in_snapshot(l.transaction_id, new_of_categories.goal)
            order by l.category_id, l.position
            limit new_of_categories.max
        ) found
        order by found.position
        limit new_of_categories.max;
end
$$;

ALTER FUNCTION outbox.new_of_categories(categories text[], after bigint, through bigint, first xid8, beyond bigint, goal pg_snapshot, max bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.newest_cursor() RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    place record;
    own constant xid8 := pg_current_xact_id_if_assigned();
begin
    select t.* into place from outbox.take_up_cursor(null) t;
    return outbox.cursor_text(place.era, place.system_identifier, '-', 0, outbox.leaving_open(place.seen, own), own, case when own is not null then place.drawn end);
end
$$;

ALTER FUNCTION outbox.newest_cursor() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.note_removed(stream bigint, first bigint, last bigint) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    insert into outbox.removed (topic, first_position, last_position, transaction_id, key_number, era)
    select going.topic, min(going.position), max(going.position), going.transaction_id, going.key_number, (select max(e.era) from outbox.era e)
    from (
        select named.*, named.position - row_number() over (partition by named.topic, named.transaction_id, named.key_number order by named.position) as island
        from (
            select l.topic, l.position, l.transaction_id, outbox.key_number(coalesce(l.key, l.id::text)) as key_number
            from outbox.log l
            where l.retention in ('stream', 'archive') and l.stream = note_removed.stream and l.version between first and last and l.topic is not null
        ) named
    ) going
    group by going.topic, going.transaction_id, going.key_number, going.island
$$;

ALTER FUNCTION outbox.note_removed(stream bigint, first bigint, last bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.open_era(recovery bigint, epoch bigint, above_batch_id bigint, above_position bigint, streams jsonb, OUT era integer, OUT batch_number bigint, OUT batch_id bigint, OUT events bigint) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
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

ALTER FUNCTION outbox.open_era(recovery bigint, epoch bigint, above_batch_id bigint, above_position bigint, streams jsonb, OUT era integer, OUT batch_number bigint, OUT batch_id bigint, OUT events bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.order_rebuild(projection text, reason text, accept_differences boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    live outbox.projection;
    ordered bigint;
begin
    select * into live from outbox.projection p where p.name = order_rebuild.projection for no key update;
    if not found then
        raise exception 'there is no projection %', quote_nullable(left(projection, 100)) using errcode = 'no_data_found',
            hint = 'A projection is known once a process has run it: see outbox_ops.projections.';
    end if;
    if exists (select from outbox.projection_rebuild r where r.projection = live.name and r.state in ('ordered', 'building', 'held')) then
        raise exception 'projection % is being built anew already', live.name using errcode = 'object_in_use',
            hint = 'Wait for it, or cancel it: outbox.cancel_rebuild.';
    end if;
    insert into outbox.projection_rebuild (projection, generation, state, accept_differences, reason)
    select live.name, greatest(live.generation, coalesce(max(r.generation), 0)) + 1, 'ordered', order_rebuild.accept_differences, order_rebuild.reason
    from outbox.projection_rebuild r where r.projection = live.name
    returning number into ordered;
    return ordered;
end
$$;

ALTER FUNCTION outbox.order_rebuild(projection text, reason text, accept_differences boolean) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.order_reissue(topic text, partition integer, from_place text, to_place text, is_preview boolean, reason text) RETURNS SETOF bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    first record;
    last record;
begin
    select * into first from outbox.place_of(from_place);
    select * into last from outbox.place_of(to_place) where to_place is not null;
    if (last.batch_id, last."position") < (first.batch_id, first."position") then
        raise exception 'the end % is before the beginning %', to_place, from_place using errcode = 'invalid_parameter_value';
    end if;
    return query
    insert into outbox.reissue_order (topic, partition, from_batch_id, from_position, to_batch_id, to_position, is_preview, reason)
    select stream.topic, stream.partition, first.batch_id, first."position", last.batch_id, last."position",
           order_reissue.is_preview, order_reissue.reason
    from outbox.topic_stream stream
    where stream.topic = order_reissue.topic
      and (order_reissue.partition is null or stream.partition = order_reissue.partition + 1
           or stream.partition = 0 and order_reissue.partition = 0
              and not exists (select from outbox.topic_layout l where l.topic = order_reissue.topic))
      and exists (select from outbox.share s where s.topic = stream.topic and s.partition = stream.partition)
    order by stream.partition
    returning number;
    if not found then
        raise exception '% has no stream on which anything was published', concat('topic ' || topic, ' partition ' || partition)
            using errcode = 'no_data_found';
    end if;
end
$$;

ALTER FUNCTION outbox.order_reissue(topic text, partition integer, from_place text, to_place text, is_preview boolean, reason text) OWNER TO outbox_maintainer;

CREATE SEQUENCE outbox.parked_place
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER TABLE outbox.parked_place OWNER TO outbox_maintainer;

CREATE TABLE outbox.dead_letter (
    number bigint NOT NULL,
    consumer text NOT NULL,
    stream text NOT NULL,
    entry_id text NOT NULL,
    source text,
    id text,
    type text,
    key text,
    recorded_at timestamp with time zone,
    entry_fields bytea[] NOT NULL,
    error_class text NOT NULL,
    error text NOT NULL,
    attempts integer NOT NULL,
    first_failed_at timestamp with time zone NOT NULL,
    dead_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    flow text DEFAULT ''::text NOT NULL,
    lane text DEFAULT ''::text NOT NULL,
    place bigint DEFAULT nextval('outbox.parked_place'::regclass),
    state text DEFAULT 'dead'::text NOT NULL,
    error_kind text DEFAULT 'transient'::text NOT NULL,
    fingerprint text DEFAULT ''::text NOT NULL,
    history jsonb DEFAULT '[]'::jsonb NOT NULL,
    schema_version text,
    edited_fields bytea[],
    edited_at timestamp with time zone,
    edited_by text,
    redrives integer DEFAULT 0 NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT dead_letter_attempts_check CHECK ((attempts > 0)),
    CONSTRAINT dead_letter_check CHECK (((source IS NULL) = (id IS NULL))),
    CONSTRAINT dead_letter_error_kind_check CHECK ((error_kind = ANY (ARRAY['transient'::text, 'poison'::text, 'unreadable'::text, 'too_old'::text]))),
    CONSTRAINT dead_letter_redrives_check CHECK ((redrives >= 0)),
    CONSTRAINT dead_letter_state_check CHECK ((state = ANY (ARRAY['dead'::text, 'redriving'::text, 'applied'::text, 'discarded'::text])))
);

ALTER TABLE outbox.dead_letter OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.dead_letter IS 'Entries given up by a consumer. error may hold what the handler said; the view outbox_ops.dead_letters leaves it and the payload out.';

CREATE FUNCTION outbox.outcome_of(letter outbox.dead_letter) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_custom_plan'
    AS $$
declare
    since timestamptz := letter.recorded_at - interval '31 days';
    until timestamptz := letter.recorded_at + interval '31 days';
begin
    return (
        select seen.outcome
        from (select i.outcome from outbox.inbox i
              where (i.consumer, i.source, i.id) = (letter.consumer, letter.source, letter.id)
                and i.recorded_at >= since and i.recorded_at <= until
              union all
              select f.outcome from outbox.inbox_foreign f
              where (f.consumer, f.source, f.id) = (letter.consumer, letter.source, letter.id)) seen
        order by seen.outcome = 'applied' desc limit 1);
end
$$;

ALTER FUNCTION outbox.outcome_of(letter outbox.dead_letter) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.owes_of_earlier_layout(topic text, partition integer) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION outbox.owes_of_earlier_layout(topic text, partition integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.parse_cursor(cursor text, OUT era integer, OUT system_identifier bigint, OUT filter text, OUT above bigint, OUT done pg_snapshot, OUT own xid8, OUT own_through bigint, OUT backward boolean, OUT goal pg_snapshot, OUT goal_own xid8, OUT floor bigint, OUT through bigint, OUT place bigint) RETURNS record
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    longest constant integer := 1048576;
    parts text[];
    problem text;
begin
    parts := string_to_array(parse_cursor.cursor, '/');
    problem := case
        when octet_length(parse_cursor.cursor) > longest then 'it has ' || octet_length(parse_cursor.cursor) || ' bytes, and 1 MiB is the most'
        when parts[1] is distinct from '1' then 'it does not begin with 1/: it is none, or of a newer version'
        when cardinality(parts) not in (8, 14) then 'it has ' || cardinality(parts) || ' parts, and 8 or 14 were expected'
        when parts[cardinality(parts)] <> substr(encode(sha256(convert_to(array_to_string(parts[:cardinality(parts) - 1], '/'), 'UTF8')), 'hex'), 1, 8)
        then 'its parts and its last one do not agree: it was cut or changed'
        when array_to_string(parts[2:], '/') !~ ('^[1-9][0-9]{0,8}/-?[0-9]{1,19}/(-|[0-9a-f]{8}u?)/[0-9]{1,18}/[0-9]{1,18}:[0-9]{1,18}:[0-9,]*/(-|[0-9]{1,18}@[0-9]{1,18})'
             || '(/[fb]/[0-9]{1,18}:[0-9]{1,18}:[0-9,]*/(-|[0-9]{1,18})/[0-9]{1,18}/[0-9]{1,18}/[0-9]{1,18})?/[0-9a-f]{8}$')
        then 'a part of it is not what it must be' end;
    if problem is not null then
        raise exception 'that is no cursor: %', problem
            using errcode = 'invalid_parameter_value', hint = 'Give what a read returned, as it is. Without one a read begins at the beginning.';
    end if;
    era := parts[2];
    system_identifier := parts[3];
    filter := parts[4];
    above := parts[5];
    done := parts[6];
    own := nullif(split_part(parts[7], '@', 1), '-');
    own_through := nullif(split_part(parts[7], '@', 2), '');
    if cardinality(parts) = 14 then
        backward := parts[8] = 'b';
        goal := parts[9];
        goal_own := nullif(parts[10], '-');
        floor := parts[11];
        through := parts[12];
        place := parts[13];
    end if;
end
$_$;

ALTER FUNCTION outbox.parse_cursor(cursor text, OUT era integer, OUT system_identifier bigint, OUT filter text, OUT above bigint, OUT done pg_snapshot, OUT own xid8, OUT own_through bigint, OUT backward boolean, OUT goal pg_snapshot, OUT goal_own xid8, OUT floor bigint, OUT through bigint, OUT place bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.partition_of(key text, partitions integer) RETURNS integer
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    select ((('x' operator(pg_catalog.||) pg_catalog.encode(
                pg_catalog.substring(pg_catalog.sha256(pg_catalog.convert_to(key, 'UTF8')), 1, 4), 'hex'))::pg_catalog.bit(32))::bigint
            operator(pg_catalog.%) partitions)::integer
$$;

ALTER FUNCTION outbox.partition_of(key text, partitions integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.partition_shares(xmax text, open text[], layouts jsonb) RETURNS TABLE(topic text, partition integer, event_count bigint, first_position bigint, last_position bigint, first_new_position bigint)
    LANGUAGE plpgsql STABLE ROWS 8
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
begin
    return query
        select arrived.topic, 1 + outbox.partition_of(coalesce(arrived.key, arrived.id::text), (layouts -> 'partitions' ->> arrived.topic)::integer),
               count(*), min(arrived.position), max(arrived.position), min(arrived.position) filter (where arrived.is_new)
        from (
            select l.topic, l.key, l.id, l.position, true as is_new from outbox.log l where l.transaction_id >= partition_shares.xmax::xid8
            union all
            select l.topic, l.key, l.id, l.position, false from outbox.log l where l.transaction_id = any(open::xid8[])
        ) arrived
        where layouts -> 'partitions' ? arrived.topic
        group by 1, 2;
end
$$;

ALTER FUNCTION outbox.partition_shares(xmax text, open text[], layouts jsonb) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.partition_shares(xmax text, open text[], layouts jsonb, floor bigint) RETURNS TABLE(topic text, partition integer, event_count bigint, first_position bigint, last_position bigint, first_new_position bigint)
    LANGUAGE plpgsql STABLE ROWS 8
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
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

ALTER FUNCTION outbox.partition_shares(xmax text, open text[], layouts jsonb, floor bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.partition_shares(xmax text, open text[], layouts jsonb, floor bigint, far bigint) RETURNS TABLE(topic text, partition integer, event_count bigint, first_position bigint, last_position bigint, first_new_position bigint)
    LANGUAGE plpgsql STABLE ROWS 8
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
declare
    through bigint := coalesce(far, 9223372036854775807);
begin
    return query
        select arrived.topic, 1 + outbox.partition_of(coalesce(arrived.key, arrived.id::text), (layouts -> 'partitions' ->> arrived.topic)::integer),
               count(*), min(arrived.position), max(arrived.position), min(arrived.position) filter (where arrived.is_new)
        from (
            select l.topic, l.key, l.id, l.position, true as is_new from outbox.log l
            where l.transaction_id >= partition_shares.xmax::xid8 and l.position > floor
              and l.retention in ('standard', 'audit') and l.position <= through
            union all
            select l.topic, l.key, l.id, l.position, true from outbox.log l
            where l.transaction_id >= partition_shares.xmax::xid8 and l.position > floor and l.retention not in ('standard', 'audit')
            union all
            select l.topic, l.key, l.id, l.position, false from outbox.log l
            where l.transaction_id = any(open::xid8[]) and l.position > floor
              and l.retention in ('standard', 'audit') and l.position <= through
            union all
            select l.topic, l.key, l.id, l.position, false from outbox.log l
            where l.transaction_id = any(open::xid8[]) and l.position > floor and l.retention not in ('standard', 'audit')
        ) arrived
        where layouts -> 'partitions' ? arrived.topic
        group by 1, 2;
end
$$;

ALTER FUNCTION outbox.partition_shares(xmax text, open text[], layouts jsonb, floor bigint, far bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.pass_hole(consumer text, stream text, entry_id text, reason text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    passed outbox.consumer_stream;
    entry numeric[];
    -- The rows stay: an id that is not there yet would count as given up when the stream comes to it. A batch is numbered by the
    -- time at which it was made, or just behind the one before it; clocks may differ by an hour.
    newest numeric;
begin
    perform outbox.require_consumer(consumer, reason);
    if coalesce(entry_id, '') !~ '^[0-9]{1,20}-[0-9]{1,20}$' then
        raise exception 'the entry held is named by its id, as 1795233600000-41; got %', left(entry_id, 100) using errcode = 'invalid_parameter_value';
    elsif not exists (select from outbox.consumer_lease l where l.consumer = pass_hole.consumer and l.stream = pass_hole.stream) then
        raise exception 'consumer % does not read stream %', consumer, stream
            using errcode = 'no_data_found', hint = 'outbox_ops.inbox lists consumers and their streams.';
    end if;
    entry := string_to_array(entry_id, '-')::numeric[];
    if entry[1] > 18446744073709551615 or entry[2] > 18446744073709551615 then
        raise exception 'there is no entry %: a half of an entry id is at most 18446744073709551615', entry_id using errcode = 'invalid_parameter_value';
    end if;
    entry_id := entry[1] || '-' || entry[2];
    select * into passed from outbox.consumer_stream p where p.consumer = pass_hole.consumer and p.stream = pass_hole.stream;
    if (passed.passed_batch, passed.passed_position) >= (entry[1], entry[2]) then
        raise exception 'consumer % has passed entry % of stream % already: nothing is held there', consumer, entry_id, stream
            using errcode = 'invalid_parameter_value';
    end if;
    newest := 3600000 + greatest(
        extract(epoch from clock_timestamp()) * 1000, passed.passed_batch,
        (select m.published_batch from outbox.stream_mark m where m.consumer = pass_hole.consumer and m.stream = pass_hole.stream));
    if entry[1] > newest then
        raise exception 'entry % of stream % lies in the future: nothing can be held there yet', entry_id, stream
            using errcode = 'invalid_parameter_value', hint = 'Give the entry that the member names as held.';
    end if;
    insert into outbox.hole_pass (consumer, stream, entry_id, reason)
    values (pass_hole.consumer, pass_hole.stream, pass_hole.entry_id, pass_hole.reason)
    on conflict do nothing;
    -- Said again, it is audited again.
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('pass_hole', pass_hole.consumer, jsonb_build_object('stream', pass_hole.stream, 'entry', pass_hole.entry_id,
        'passed', passed.passed_batch || '-' || passed.passed_position), pass_hole.reason);
    return passed.passed_batch || '-' || passed.passed_position;
end
$_$;

ALTER FUNCTION outbox.pass_hole(consumer text, stream text, entry_id text, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.pause_consumer(consumer text, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    perform outbox.require_consumer(consumer, reason);
    update outbox.consumer c
    set paused_at = coalesce(c.paused_at, clock_timestamp()), paused_by = session_user, paused_reason = pause_consumer.reason
    where c.name = pause_consumer.consumer;
    insert into outbox.consumer_audit (action, consumer, reason) values ('pause', consumer, reason);
end
$$;

ALTER FUNCTION outbox.pause_consumer(consumer text, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.pause_subscription(name text, reason text, generation integer DEFAULT NULL::integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION outbox.pause_subscription(name text, reason text, generation integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.place_of(place text, OUT batch_id bigint, OUT "position" bigint) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
begin
    if place ~ '^[0-9]{1,18}-[0-9]{1,18}$' then
        batch_id := split_part(place, '-', 1)::bigint;
        position := split_part(place, '-', 2)::bigint;
    else
        -- Batch ids are of the clock, and the clock is of this age.
        batch_id := greatest(0, floor(extract(epoch from place::timestamptz) * 1000))::bigint;
        position := 0;
    end if;
exception when data_exception then
    raise exception '% is neither an entry id (<batch>-<position>) nor a time', place using errcode = 'invalid_parameter_value';
end
$_$;

ALTER FUNCTION outbox.place_of(place text, OUT batch_id bigint, OUT "position" bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.preview_redrive(filter jsonb) RETURNS TABLE(consumer text, letters bigint, keys bigint, some_keys text[], followers bigint, behind_others bigint, keys_gone_on bigint, older_than_inbox bigint, edited bigint, redriven_before bigint, first_dead_at timestamp with time zone, last_dead_at timestamp with time zone, left_unreadable bigint, left_too_old bigint, left_going bigint, members bigint, is_paused boolean)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    with chosen as materialized (
        select r.*, d.key, d.dead_at, d.edited_at, d.redrives, d.error_kind, d.recorded_at
        from outbox.redrivable(filter) r join outbox.dead_letter d on d.number = r.number
    ), lane as (
        select c.consumer, c.flow, c.lane, min(c.key) as key, count(*) as letters, min(held.dead_letter) as holder,
               coalesce(bool_or(c.number = held.dead_letter), false) as is_freed,
               coalesce(min(held.events), 0) as events
        from chosen c
        left join outbox.held_lane held on (held.consumer, held.flow, held.lane) = (c.consumer, c.flow, c.lane)
        where c.obstacle is null
        group by c.consumer, c.flow, c.lane
    ), lanes as (
        select lane.consumer,
               count(distinct lane.key) as keys,
               (array_agg(lane.key order by lane.key) filter (where lane.key is not null))[1:10] as some_keys,
               sum(lane.events) filter (where lane.is_freed)::bigint as followers,
               sum(lane.letters) filter (where lane.holder is not null and not lane.is_freed)::bigint as behind_others,
               count(*) filter (where lane.holder is null and lane.lane ^@ 'k') as keys_gone_on
        from lane group by lane.consumer
    ), letters as (
        select c.consumer,
               count(*) filter (where c.obstacle is null) as letters,
               count(*) filter (where c.obstacle is null
                                and (c.error_kind = 'too_old' or c.recorded_at < group_of.forgotten_until
                                     or c.recorded_at < clock_timestamp() - settings.keep)) as older_than_inbox,
               count(c.edited_at) filter (where c.obstacle is null) as edited,
               count(*) filter (where c.obstacle is null and c.redrives > 0) as redriven_before,
               min(c.dead_at) filter (where c.obstacle is null) as first_dead_at,
               max(c.dead_at) filter (where c.obstacle is null) as last_dead_at,
               count(*) filter (where c.obstacle = 'unreadable') as left_unreadable,
               count(*) filter (where c.obstacle = 'too_old') as left_too_old,
               count(*) filter (where c.obstacle = 'going') as left_going
        from chosen c
        cross join outbox.inbox_settings settings
        left join outbox.consumer group_of on group_of.name = c.consumer
        group by c.consumer
    )
    select d.consumer, d.letters, coalesce(k.keys, 0), coalesce(k.some_keys, '{}'), coalesce(k.followers, 0), coalesce(k.behind_others, 0),
           coalesce(k.keys_gone_on, 0), d.older_than_inbox, d.edited, d.redriven_before, d.first_dead_at, d.last_dead_at,
           d.left_unreadable, d.left_too_old, d.left_going, coalesce(c.members, 0), coalesce(c.state = 'paused', false)
    from letters d
    left join lanes k on k.consumer = d.consumer
    left join outbox_ops.consumers c on c.consumer = d.consumer
    order by d.consumer
$$;

ALTER FUNCTION outbox.preview_redrive(filter jsonb) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.preview_seek(consumer text, streams text[], OUT is_known boolean, OUT forgotten_until timestamp with time zone, OUT parked_keys bigint) RETURNS record
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select count(*) > 0, max(c.forgotten_until),
           (select count(*) from outbox.parked_lane l where l.consumer = preview_seek.consumer and l.stream = any(preview_seek.streams))
    from outbox.consumer c where c.name = preview_seek.consumer
$$;

ALTER FUNCTION outbox.preview_seek(consumer text, streams text[], OUT is_known boolean, OUT forgotten_until timestamp with time zone, OUT parked_keys bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.put_back(letter_number bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    letter outbox.dead_letter;
    line outbox.parked_lane;
    holder bigint;
    had text;
    goes boolean := false;
begin
    select * into letter from outbox.dead_letter d where d.number = letter_number for no key update skip locked;
    if not found then
        return 'busy';
    elsif letter.state <> 'dead' or letter.id is null then
        return 'dropped';
    end if;
    select * into line from outbox.parked_lane l
    where (l.consumer, l.flow, l.lane) = (letter.consumer, letter.flow, letter.lane) for update skip locked;
    if not found then
        -- Its key went on, or it never had one.
        begin
            insert into outbox.parked_lane (consumer, flow, lane, state, stream, due_at)
            values (letter.consumer, letter.flow, letter.lane, 'draining', letter.stream, clock_timestamp())
            on conflict do nothing returning * into line;
        exception
            when lock_not_available then return 'busy';
        end;
        if line.consumer is null then
            return 'busy';
        end if;
    end if;
    holder := (select held.dead_letter from outbox.held_lane held
               where (held.consumer, held.flow, held.lane) = (letter.consumer, letter.flow, letter.lane));
    had := outbox.outcome_of(letter);
    if had is null then
        begin
            perform outbox.remember_dead(letter);
        exception
            when lock_not_available then return 'busy';
        end;
    end if;
    if had is distinct from 'applied' then
        -- The same event may wait under another entry already.
        insert into outbox.parked_event (consumer, flow, lane, place, stream, entry_id, source, id, type, schema_version, key, recorded_at,
                                         entry_fields, history, first_failed_at, dead_letter)
        values (letter.consumer, letter.flow, letter.lane, letter.place, letter.stream, letter.entry_id, letter.source, letter.id, letter.type,
                letter.schema_version, letter.key, letter.recorded_at, coalesce(letter.edited_fields, letter.entry_fields),
                letter.history, letter.first_failed_at, letter.number)
        on conflict do nothing;
        goes := found;
    end if;
    update outbox.dead_letter d
    set state = case when had = 'applied' then 'applied' when goes then 'redriving' else d.state end,
        redrives = d.redrives + goes::integer, changed_at = clock_timestamp()
    where d.number = letter.number;
    -- Where another letter is in front that nobody asked for, it waits behind that.
    perform outbox.let_lane_go_on(line, holder is null or holder = letter.number and (goes or had = 'applied'), letter.place);
    return case when goes then 'released' else 'dropped' end;
end
$$;

ALTER FUNCTION outbox.put_back(letter_number bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.read_events(cursor text DEFAULT NULL::text, categories text[] DEFAULT NULL::text[], types text[] DEFAULT NULL::text[], until timestamp with time zone DEFAULT NULL::timestamp with time zone, above bigint DEFAULT NULL::bigint, backward boolean DEFAULT false, max integer DEFAULT 500, max_bytes bigint DEFAULT 4194304) RETURNS TABLE("position" bigint, stream text, version bigint, id uuid, type text, data json, data_binary bytea, recorded_at timestamp with time zone, source text, subject text, "time" timestamp with time zone, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, tags text[], topic text, archived boolean, next_cursor text, at_end boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_sort TO 'off'
    AS $$
#variable_conflict use_column
declare
    place record;
    candidate record;
    candidates refcursor;
    wanted_filter text;
    category_ids integer[];
    look_at_most bigint;
    looked bigint := 0;
    bytes bigint := 0;
    found_positions bigint[] := '{}';
    lower bigint;
    late_lower bigint;
    upper bigint;
    is_done_nothing boolean;
begin
    if read_events.max is null or read_events.max not between 1 and 10000 then
        raise exception 'max must be 1 to 10000 events, got %', coalesce(read_events.max::text, 'null') using errcode = 'invalid_parameter_value';
    elsif read_events.max_bytes is null or read_events.max_bytes < 1 then
        raise exception 'max_bytes must be at least 1, got %', coalesce(read_events.max_bytes::text, 'null') using errcode = 'invalid_parameter_value';
    elsif cardinality(categories) = 0 or cardinality(types) = 0 or cardinality(categories) > 100 or cardinality(types) > 1000 then
        raise exception 'categories must be null or 1 to 100, and types null or 1 to 1000' using errcode = 'invalid_parameter_value';
    elsif array_position(categories, null) is not null or array_position(types, null) is not null then
        raise exception 'categories and types must not have a null among them' using errcode = 'invalid_parameter_value';
    elsif read_events.backward is null then
        raise exception 'backward must be true or false' using errcode = 'invalid_parameter_value';
    elsif read_events.above < 0 or read_events.above is not null and read_events.cursor is not null then
        raise exception 'above must be a position, and is for reads without a cursor: a cursor has it' using errcode = 'invalid_parameter_value';
    end if;
    wanted_filter := case when coalesce(categories, types) is not null or until is not null then
        substr(encode(sha256(convert_to(json_build_array(
            array(select distinct c from unnest(categories) c order by c), array(select distinct t from unnest(types) t order by t),
            extract(epoch from until))::text, 'UTF8')), 'hex'), 1, 8) || case when until is not null then 'u' else '' end
        else '-' end;
    select t.* into place from outbox.take_up_cursor(read_events.cursor) t;
    if place.filter <> '-' and place.filter <> wanted_filter then
        raise exception 'this cursor is of a read of other categories or types, or until another time: what it took no notice of would be missed'
            using errcode = 'OB410', hint = 'Give those with which it was read. A cursor of a read of everything fits any.';
    elsif place.backward <> read_events.backward then
        raise exception 'this cursor is in the middle of a read %', case when place.backward then 'backward' else 'forward' end
            using errcode = 'OB410', hint = 'Go on in the same direction to the end, or begin again.';
    end if;
    place.above := coalesce(read_events.above, place.above);
    is_done_nothing := pg_snapshot_xmax(place.done) = '3'::xid8;
    late_lower := greatest(place.above, case when not is_done_nothing then place.era_floor end);
    if place.goal is null then
        place.goal_own := pg_current_xact_id_if_assigned();
        place.goal := outbox.leaving_open(place.seen, place.goal_own);
        place.through := place.drawn;
        place.floor := case when is_done_nothing then place.above else outbox.floor_of_new(place.done, late_lower, place.through) end;
        place.place := case when read_events.backward then place.through + 1 else 0 end;
    end if;
    category_ids := case when categories is not null then array(select c.id from outbox.category c where c.name = any(categories)) end;
    -- Where all that is looked at is wanted, one more than a page says whether there is more.
    look_at_most := case when types is null and until is null then read_events.max + 1 else read_events.max * 10 end;
    lower := greatest(place.floor, late_lower);
    upper := place.through;
    if read_events.backward then
        upper := least(upper, place.place - 1);
    else
        lower := greatest(lower, place.place);
        late_lower := greatest(late_lower, place.place);
    end if;

    -- Each arm has its first rows, as many as are looked at, so that the first of all are among them. Rows of open transactions are found
    -- by transaction, whatever their category is. Bounds are pairs and sorts are off, so that the order of an arm names its index.
    if category_ids is null and not read_events.backward then
        open candidates for
            select merged.* from (
                (select l.position, (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                        coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                 from outbox.log l
                 where l.retention in ('stream', 'archive') and l.stream is not null and l.position > lower and l.position <= upper
                   and l.transaction_id >= pg_snapshot_xmax(place.done)
                   and (l.position <= place.era_floor or pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                   and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                 order by l.position limit look_at_most)
                union all
                select late_row.* from pg_snapshot_xip(place.done) late cross join lateral (
                    select l.position, (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                           coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                    from outbox.log l
                    where l.retention in ('stream', 'archive') and l.stream is not null and (l.transaction_id, l.position) > (late, late_lower) and (l.transaction_id, l.position) <= (late, upper)
                      and (pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                      and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                    order by l.transaction_id, l.position limit look_at_most) late_row
            ) merged
            order by merged.position limit look_at_most;
    elsif category_ids is null then
        open candidates for
            select merged.* from (
                (select l.position, (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                        coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                 from outbox.log l
                 where l.retention in ('stream', 'archive') and l.stream is not null and l.position > lower and l.position <= upper
                   and l.transaction_id >= pg_snapshot_xmax(place.done)
                   and (l.position <= place.era_floor or pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                   and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                 order by l.position desc limit look_at_most)
                union all
                select late_row.* from pg_snapshot_xip(place.done) late cross join lateral (
                    select l.position, (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                           coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                    from outbox.log l
                    where l.retention in ('stream', 'archive') and l.stream is not null and (l.transaction_id, l.position) > (late, late_lower) and (l.transaction_id, l.position) <= (late, upper)
                      and (pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                      and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                    order by l.transaction_id desc, l.position desc limit look_at_most) late_row
            ) merged
            order by merged.position desc limit look_at_most;
    elsif not read_events.backward then
        open candidates for
            select merged.* from (
                select new_row.* from unnest(category_ids) c cross join lateral (
                    select l.position, (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                           coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                    from outbox.log l
                    where l.retention in ('stream', 'archive') and l.stream is not null and (l.category, l.position) > (c, lower) and (l.category, l.position) <= (c, upper)
                      and l.transaction_id >= pg_snapshot_xmax(place.done)
                      and (l.position <= place.era_floor or pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                      and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                    order by l.category, l.position limit look_at_most) new_row
                union all
                select late_row.* from pg_snapshot_xip(place.done) late cross join lateral (
                    select l.position, l.category = any(category_ids) and (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                           coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                    from outbox.log l
                    where l.retention in ('stream', 'archive') and l.stream is not null and (l.transaction_id, l.position) > (late, late_lower) and (l.transaction_id, l.position) <= (late, upper)
                      and (pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                      and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                    order by l.transaction_id, l.position limit look_at_most) late_row
            ) merged
            order by merged.position limit look_at_most;
    else
        open candidates for
            select merged.* from (
                select new_row.* from unnest(category_ids) c cross join lateral (
                    select l.position, (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                           coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                    from outbox.log l
                    where l.retention in ('stream', 'archive') and l.stream is not null and (l.category, l.position) > (c, lower) and (l.category, l.position) <= (c, upper)
                      and l.transaction_id >= pg_snapshot_xmax(place.done)
                      and (l.position <= place.era_floor or pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                      and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                    order by l.category desc, l.position desc limit look_at_most) new_row
                union all
                select late_row.* from pg_snapshot_xip(place.done) late cross join lateral (
                    select l.position, l.category = any(category_ids) and (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                           coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                    from outbox.log l
                    where l.retention in ('stream', 'archive') and l.stream is not null and (l.transaction_id, l.position) > (late, late_lower) and (l.transaction_id, l.position) <= (late, upper)
                      and (pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                      and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                    order by l.transaction_id desc, l.position desc limit look_at_most) late_row
            ) merged
            order by merged.position desc limit look_at_most;
    end if;
    at_end := false;
    loop
        fetch candidates into candidate;
        if not found then
            at_end := looked < look_at_most;
            exit;
        end if;
        -- The first that has no room: the next page begins with it.
        exit when candidate.is_wanted and (cardinality(found_positions) >= read_events.max or bytes >= read_events.max_bytes);
        looked := looked + 1;
        place.place := candidate.position;
        if candidate.is_wanted then
            found_positions := found_positions || candidate.position;
            bytes := bytes + candidate.bytes;
        end if;
    end loop;
    close candidates;

    return query
        select e.position, e.stream, e.version, e.id, e.type, e.data::json, e.data_binary, e.recorded_at, e.source, e.subject, e."time", e.data_content_type,
               e.data_schema, e.schema_version, e.correlation_id, e.causation_id, e.traceparent, e.tracestate, e.extensions, e.tags, e.topic, e.archived,
               null::text, null::boolean
        from unnest(found_positions) with ordinality f (position, n)
        cross join lateral (select s.* from outbox.stored_event s where s.position = f.position offset 0) e
        order by f.n;
    next_cursor := case when at_end
        then outbox.cursor_text(place.era, place.system_identifier, wanted_filter, place.above, place.goal, place.goal_own, case when place.goal_own is not null then place.through end)
        else outbox.cursor_text(place.era, place.system_identifier, wanted_filter, place.above, place.done, place.own, place.own_through,
                                read_events.backward, place.goal, place.goal_own, place.floor, place.through, place.place) end;
    return next;
end
$$;

ALTER FUNCTION outbox.read_events(cursor text, categories text[], types text[], until timestamp with time zone, above bigint, backward boolean, max integer, max_bytes bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.read_snapshot(stream text, shape text, shape_version integer) RETURNS TABLE(begins bigint, version bigint, event uuid, state text, digest bytea)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select k.begins, k.version, k.event, k.state, k.digest
    from outbox.stream s
    join outbox.stream_snapshot k on k.stream = s.id
    where s.name = read_snapshot.stream and k.shape = read_snapshot.shape and k.shape_version = read_snapshot.shape_version
      and exists (select from outbox.stored_event e where e.stream_id = k.stream and e.version = k.version and e.id = k.event)
      and not exists (select from outbox.stream_step t
                      where t.stream = k.stream and t.action in ('truncate', 'tombstone') and t.through >= k.begins and t.events > 0)
$$;

ALTER FUNCTION outbox.read_snapshot(stream text, shape text, shape_version integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.read_stream(stream text, after bigint DEFAULT 0, max integer DEFAULT NULL::integer) RETURNS TABLE(version bigint, id uuid, type text, data json, data_binary bytea, recorded_at timestamp with time zone, "position" bigint, source text, subject text, "time" timestamp with time zone, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, extensions json, tags text[], topic text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
#variable_conflict use_column
begin
    if outbox.category_of(read_stream.stream) is null then
        raise exception 'stream refused: the name must be <category>-<id>, at most 400 bytes, category of A-Z a-z 0-9 . _, id without spaces, got %', quote_nullable(left(read_stream.stream, 100))
            using errcode = 'invalid_parameter_value';
    end if;
    return query
        select e.version, e.id, e.type, e.data::json, e.data_binary, e.recorded_at, e.position, e.source, e.subject, e."time", e.data_content_type, e.data_schema,
               e.schema_version, e.correlation_id, e.causation_id, e.extensions, e.tags, e.topic
        from outbox.stored_event e
        where e.stream_id = (select s.id from outbox.stream s where s.name = read_stream.stream and not outbox.is_buried(s.id)) and e.version > read_stream.after
        order by e.version
        limit read_stream.max;
end
$$;

ALTER FUNCTION outbox.read_stream(stream text, after bigint, max integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.read_subject_keys(ids uuid[]) RETURNS TABLE(id uuid, wrapped_key bytea, master_key text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select k.id, k.wrapped_key, k.master_key from outbox.subject_key k where k.id = any(ids)
$$;

ALTER FUNCTION outbox.read_subject_keys(ids uuid[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.read_tagged(condition json, cursor text DEFAULT NULL::text, max integer DEFAULT 500, max_bytes bigint DEFAULT 4194304) RETURNS TABLE("position" bigint, stream text, version bigint, id uuid, type text, data json, data_binary bytea, recorded_at timestamp with time zone, source text, subject text, "time" timestamp with time zone, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, tags text[], topic text, archived boolean, next_cursor text, at_end boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
#variable_conflict use_column
declare
    place record;
    wanted_filter text;
    found_positions bigint[];
    taken bigint;
begin
    if read_tagged.max is null or read_tagged.max not between 1 and 10000 then
        raise exception 'max must be 1 to 10000 events, got %', coalesce(read_tagged.max::text, 'null') using errcode = 'invalid_parameter_value';
    elsif read_tagged.max_bytes is null or read_tagged.max_bytes < 1 then
        raise exception 'max_bytes must be at least 1, got %', coalesce(read_tagged.max_bytes::text, 'null') using errcode = 'invalid_parameter_value';
    end if;
    wanted_filter := outbox.condition_filter(read_tagged.condition);
    place := outbox.take_up_cursor(read_tagged.cursor);
    if place.filter not in ('-', wanted_filter) or place.backward then
        raise exception 'this cursor is of another read: what that took no notice of would be missed'
            using errcode = 'OB410', hint = 'Give the condition with which it was read. A cursor of a read of everything, at its end, fits any.';
    end if;
    if place.goal is null then
        place.goal_own := pg_current_xact_id_if_assigned();
        place.goal := outbox.leaving_open(place.seen, place.goal_own);
        place.through := place.drawn;
        place.place := place.above;
    end if;
    if pg_snapshot_xmax(place.done) = '3'::xid8 then
        found_positions := array(
            select distinct f.position
            from outbox.condition_items(read_tagged.condition) i
            cross join lateral (
                select t.position from outbox.event_tag t
                where t.tag = i.tags[1] and t.position > place.place and t.position <= place.through
                  and (t.position <= place.era_floor or pg_visible_in_snapshot(t.transaction_id, place.goal) or t.transaction_id = place.goal_own)
                  and (i.types is null or t.type = any(i.types))
                  and not exists (select from unnest(i.tags[2:]) o (tag)
                                  where not exists (select from outbox.event_tag p where p.tag = o.tag and p.position = t.position))
                order by t.position limit read_tagged.max + 1
            ) f
            order by f.position limit read_tagged.max + 1);
    else
        found_positions := array(
            select distinct f.position
            from outbox.condition_items(read_tagged.condition) i
            cross join lateral (
                select e.position
                from (
                    select t.position, t.type, t.transaction_id from outbox.event_tag t
                    where t.tag = i.tags[1] and t.transaction_id >= pg_snapshot_xmax(place.done)
                    union all
                    select t.position, t.type, t.transaction_id
                    from pg_snapshot_xip(place.done) late join outbox.event_tag t on t.tag = i.tags[1] and t.transaction_id = late
                ) e
                where e.position > greatest(place.place, place.era_floor) and e.position <= place.through
                  and (pg_visible_in_snapshot(e.transaction_id, place.goal) or e.transaction_id = place.goal_own)
                  and (e.transaction_id = place.own and e.position <= place.own_through) is not true
                  and (i.types is null or e.type = any(i.types))
                  and not exists (select from unnest(i.tags[2:]) o (tag)
                                  where not exists (select from outbox.event_tag p where p.tag = o.tag and p.position = e.position))
                order by e.position limit read_tagged.max + 1
            ) f
            order by f.position limit read_tagged.max + 1);
    end if;
    -- How many have room; the first always.
    select coalesce(max(s.n) filter (where s.n <= read_tagged.max and s.bytes_before < read_tagged.max_bytes), read_tagged.max),
           cardinality(found_positions) <= read_tagged.max and coalesce(bool_and(s.bytes_before < read_tagged.max_bytes), true)
    into taken, at_end
    from (
        select f.n, sum(e.bytes) over (order by f.n) - e.bytes as bytes_before
        from unnest(found_positions) with ordinality f (position, n)
        cross join lateral (select coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                            from outbox.stored_event l where l.position = f.position offset 0) e
    ) s;
    return query
        select e.position, e.stream, e.version, e.id, e.type, e.data::json, e.data_binary, e.recorded_at, e.source, e.subject, e."time", e.data_content_type,
               e.data_schema, e.schema_version, e.correlation_id, e.causation_id, e.traceparent, e.tracestate, e.extensions, e.tags, e.topic, e.archived,
               null::text, null::boolean
        from unnest(found_positions[:taken]) with ordinality f (position, n)
        cross join lateral (select s.* from outbox.stored_event s where s.position = f.position offset 0) e
        order by f.n;
    next_cursor := case when at_end
        then outbox.cursor_text(place.era, place.system_identifier, wanted_filter, place.above, place.goal, place.goal_own, case when place.goal_own is not null then place.through end)
        else outbox.cursor_text(place.era, place.system_identifier, wanted_filter, place.above, place.done, place.own, place.own_through,
                                false, place.goal, place.goal_own, 0, place.through, found_positions[taken]) end;
    return next;
end
$$;

ALTER FUNCTION outbox.read_tagged(condition json, cursor text, max integer, max_bytes bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.redrivable(filter jsonb) RETURNS TABLE(number bigint, consumer text, flow text, lane text, place bigint, obstacle text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return query execute format(
        'select d.number, d.consumer, d.flow, d.lane, d.place,
                case when d.id is null then ''unreadable''
                     -- Whether it had its effect nobody knows: only if a person says so.
                     when d.error_kind = ''too_old'' and %L is distinct from ''too_old'' then ''too_old''
                     when exists (select from outbox.operation_item i join outbox.operation o on o.number = i.operation
                                  where i.dead_letter = d.number and i.state = ''waiting'' and o.state = ''running'') then ''going''
                end
         from outbox_ops.dead_letters v join outbox.dead_letter d on d.number = v.number
         where v.state = ''dead'' and %s', filter ->> 'error_kind', outbox.dead_letter_predicate(filter));
end
$$;

ALTER FUNCTION outbox.redrivable(filter jsonb) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.redrive(filter jsonb, reason text, rate double precision DEFAULT NULL::double precision, all_of_them boolean DEFAULT false) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    consumers text[];
    made bigint;
    letters bigint;
begin
    perform outbox.refuse_without_reason(reason);
    perform outbox.refuse_everything(filter, all_of_them);
    consumers := array(select distinct r.consumer from outbox.redrivable(filter) r where r.obstacle is null order by 1);
    -- Slower than about one a day is nobody's rate, and leads to times that no interval holds.
    if not rate between 1e-5 and 1e6 then
        raise exception 'a rate is from 0.00001 (about one a day) to 1000000 dead letters per second' using errcode = 'invalid_parameter_value';
    elsif cardinality(consumers) = 0 then
        raise exception 'no dead letter matches that can go back' using errcode = 'no_data_found';
    end if;
    perform outbox.refuse_several(consumers);
    insert into outbox.operation (kind, consumer, filter, reason, rate, total)
    values ('redrive', consumers[1], filter, reason, rate, 0) returning operation.number into made;
    -- Lane by lane, the oldest first, and within a lane in its order.
    insert into outbox.operation_item (operation, place, dead_letter)
    select made, row_number() over (order by ordered.eldest, ordered.place, ordered.number), ordered.number
    from (select r.*, min(r.number) over (partition by r.flow, r.lane) as eldest
          from outbox.redrivable(filter) r where r.obstacle is null and r.consumer = consumers[1]) ordered;
    get diagnostics letters = row_count;
    update outbox.operation o set total = letters where o.number = made;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('redrive', consumers[1], jsonb_build_object('operation', made, 'filter', filter, 'letters', letters, 'rate', rate), reason);
    return made;
end
$$;

ALTER FUNCTION outbox.redrive(filter jsonb, reason text, rate double precision, all_of_them boolean) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refusal(topic text, key text, type text, source text, subject text, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data_bytes integer, binary_bytes integer, payload_limit_bytes integer) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    name text;
    value text;
    kind text;
    count integer := 0;
begin
    if topic is null or octet_length(topic) > 200 or topic !~ '^[A-Za-z0-9._-]+$' then
        return format('topic: must be 1 to 200 of A-Z a-z 0-9 . _ -, got %L', left(topic, 100));
    elsif type is null or octet_length(type) > 200 or type !~ '^[A-Za-z0-9._-]+$' then
        return format('type: must be 1 to 200 of A-Z a-z 0-9 . _ -, got %L', left(type, 100));
    elsif source is null or source = '' or octet_length(source) > 1024 then
        return format('source: must be 1 to 1024 bytes, got %L', left(source, 100));
    elsif key = '' or octet_length(key) > 1024 then
        return format('key: must be absent or 1 to 1024 bytes, got %L', left(key, 100));
    elsif data_bytes is not null and binary_bytes is not null then
        return 'data: give data or data_binary, not both';
    elsif greatest(data_bytes, binary_bytes) > payload_limit_bytes then
        return format('data: must be at most %s bytes (outbox.settings.payload_limit_bytes), got %s bytes', payload_limit_bytes, greatest(data_bytes, binary_bytes));
    elsif '' in (subject, data_content_type, data_schema, schema_version, correlation_id, causation_id, traceparent, tracestate)
       or greatest(octet_length(subject), octet_length(data_content_type), octet_length(data_schema), octet_length(schema_version),
                   octet_length(correlation_id), octet_length(causation_id), octet_length(traceparent), octet_length(tracestate)) > 2048 then
        select v.name, v.value into name, value
        from (values (1, 'subject', subject), (2, 'data_content_type', data_content_type), (3, 'data_schema', data_schema),
                     (4, 'schema_version', schema_version), (5, 'correlation_id', correlation_id), (6, 'causation_id', causation_id),
                     (7, 'traceparent', traceparent), (8, 'tracestate', tracestate)) v (n, name, value)
        where v.value = '' or octet_length(v.value) > 2048
        order by v.n limit 1;
        return format('%s: must be absent or 1 to 2048 bytes, got %L', name, left(value, 100));
    elsif extensions is null then
        return null;
    elsif json_typeof(extensions) <> 'object' then
        return format('extensions: must be a JSON object, got a JSON %s', json_typeof(extensions));
    end if;
    for name, value, kind in select e.key, e.value #>> '{}', json_typeof(e.value) from json_each(extensions) e loop
        count := count + 1;
        if octet_length(name) > 64 or name !~ '^[a-z0-9]+$' then
            return format('extensions: a name must be 1 to 64 of a-z 0-9, got %L', left(name, 100));
        elsif name in ('id', 'source', 'type', 'specversion', 'subject', 'time', 'datacontenttype', 'dataschema', 'data', 'partitionkey', 'recordedtime',
                       'previousid', 'schemaversion', 'correlationid', 'causationid', 'traceparent', 'tracestate') then
            return format('extensions: the name %L is reserved', name);
        elsif kind not in ('string', 'boolean') and not (kind = 'number' and value ~ '^-?[0-9]{1,10}$' and value::bigint between -2147483648 and 2147483647) then
            return format('extensions: %s must be a string, a boolean or a 32-bit integer, got a JSON %s', name, kind);
        elsif octet_length(value) > 4096 then
            return format('extensions: %s must be at most 4096 bytes, got %s', name, octet_length(value));
        end if;
    end loop;
    -- Unbounded ones would make an entry that the sink never takes.
    if count > 64 then
        return format('extensions: must be at most 64, got %s', count);
    end if;
    return null;
end
$_$;

ALTER FUNCTION outbox.refusal(topic text, key text, type text, source text, subject text, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data_bytes integer, binary_bytes integer, payload_limit_bytes integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    kept text;
begin
    if tg_level = 'ROW' and tg_relid in ('outbox.log_stream'::regclass, 'outbox.log_archive'::regclass) then
        if tg_op = 'UPDATE' then
            -- Only from one piece to the other, as it is.
            kept := new.retention;
            new.retention := old.retention;
            if kept <> old.retention and kept in ('stream', 'archive') and new *= old
               and outbox.is_named_by_step(old.stream, old.version, array[case kept when 'archive' then 'archive' else 'restore' end]) then
                new.retention := kept;
                -- To move is to delete there and to insert here: the deletion that follows is this one.
                perform set_config('outbox.moving', old.position::text, true);
                return new;
            end if;
        elsif current_setting('outbox.moving', true) = old.position::text
              and outbox.is_named_by_step(old.stream, old.version, array['archive', 'restore']) then
            perform set_config('outbox.moving', '', true);
            return old;
        elsif outbox.is_named_by_step(old.stream, old.version, array['truncate', 'tombstone']) then
            return old;
        end if;
    end if;
    raise exception 'outbox.% is append-only: % refused', tg_table_name, lower(tg_op)
        using errcode = 'insufficient_privilege',
              hint = case when tg_table_name in ('log_stream', 'log_archive')
                          then 'Rows of streams leave by outbox.archive_stream, restore_stream, truncate_stream and tombstone_stream.'
                          else 'Rows leave with their piece, when every stream has passed it and its retention is over.' end;
end
$$;

ALTER FUNCTION outbox.refuse_change() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_early_commit() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if current_setting('outbox.applying', true) is distinct from 'done' then
        raise exception 'the handler committed the transaction that also records its event: nothing of it was kept'
            using errcode = 'invalid_transaction_termination', hint = 'Use savepoints, and leave the commit to the consumer.';
    end if;
    return null;
end
$$;

ALTER FUNCTION outbox.refuse_early_commit() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_everything(filter jsonb, all_of_them boolean) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if not coalesce(all_of_them, false) and outbox.takes_everything(filter) then
        raise exception 'this filter takes every dead letter%', coalesce(' of consumer ' || (filter ->> 'consumer'), '')
            using errcode = 'invalid_parameter_value', hint = 'narrow it, or pass all_of_them => true';
    end if;
end
$$;

ALTER FUNCTION outbox.refuse_everything(filter jsonb, all_of_them boolean) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_fall() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    raise exception 'outbox.% of consumer % on stream % may only rise', tg_table_name, old.consumer, old.stream
        using errcode = 'check_violation';
end
$$;

ALTER FUNCTION outbox.refuse_fall() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_low_keep() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    lowest record;
begin
    if new.keep is not distinct from old.keep then
        return new;
    end if;
    select * into lowest from outbox.inbox_floor();
    if new.keep is null or new.keep >= lowest.floor then
        new.forced_reason := null;
        new.forced_by := null;
        new.forced_at := null;
    elsif new.forced_at is not distinct from old.forced_at then
        raise exception 'ids cannot be kept for % only: %, so the least is %', new.keep, lowest.reason, coalesce(lowest.floor::text, 'for ever')
            using errcode = 'invalid_parameter_value',
                  hint = 'An event that comes again after its id was forgotten becomes a dead letter of kind too_old. Lower what makes the floor, or call outbox.set_inbox_keep with force => true.';
    end if;
    return new;
end
$$;

ALTER FUNCTION outbox.refuse_low_keep() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_no_settings() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    raise exception 'outbox.settings keeps its one row: % refused', lower(tg_op)
        using errcode = 'insufficient_privilege', hint = 'Every append reads it. Change it: update outbox.settings set …';
end
$$;

ALTER FUNCTION outbox.refuse_no_settings() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_operation(number bigint, needed text) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    state text := (select o.state from outbox.operation o where o.number = refuse_operation.number);
begin
    if state is null then
        raise exception 'there is no operation %', number using errcode = 'no_data_found';
    end if;
    raise exception 'operation % is %, not %', number, state, needed using errcode = 'object_not_in_prerequisite_state';
end
$$;

ALTER FUNCTION outbox.refuse_operation(number bigint, needed text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_retired_master() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    since timestamptz;
begin
    insert into outbox.master_key (name) values (new.master_key) on conflict do nothing;
    -- Held until this transaction ends. One that was retired since this transaction began is an error of its own under one snapshot.
    select m.retired_at into since from outbox.master_key m where m.name = new.master_key for share;
    if since is not null then
        raise exception 'master key % was retired at %: it wraps no key of a subject any more', quote_literal(new.master_key), since
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'This process has an old keyring: give it the present master key, and the old one with_older while keys are wrapped anew.';
    end if;
    return new;
end
$$;

ALTER FUNCTION outbox.refuse_retired_master() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_return() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    raise exception 'outbox.% of subscription % (generation %, partition %) may only rise', tg_table_name, old.subscription, old.generation, old.partition
        using errcode = 'check_violation';
end
$$;

ALTER FUNCTION outbox.refuse_return() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_rewrite() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    raise exception 'outbox.% is append-only: % refused', tg_table_name, lower(tg_op) using errcode = 'insufficient_privilege';
end
$$;

ALTER FUNCTION outbox.refuse_rewrite() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_several(consumers text[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if cardinality(consumers) > 1 then
        raise exception 'dead letters of several consumers match: %', array_to_string(consumers, ', ')
            using errcode = 'invalid_parameter_value', hint = 'name one consumer in the filter';
    end if;
end
$$;

ALTER FUNCTION outbox.refuse_several(consumers text[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_tag_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION outbox.refuse_tag_change() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_to_keep(reason text, max integer) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if coalesce(btrim(reason), '') = '' then
        raise exception 'a reason must be given: it stays in outbox.stream_step' using errcode = 'invalid_parameter_value';
    elsif max is null or max not between 1 and 100000 then
        raise exception 'max must be 1 to 100000 events, got %', coalesce(max::text, 'null') using errcode = 'invalid_parameter_value';
    elsif current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        raise exception 'refused: this is done in READ COMMITTED transactions, and this one is %', upper(current_setting('transaction_isolation'))
            using errcode = 'feature_not_supported';
    end if;
end
$$;

ALTER FUNCTION outbox.refuse_to_keep(reason text, max integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_transition() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    raise exception 'outbox.% %: state % does not become %', tg_table_name, tg_argv[0], old.state, new.state using errcode = 'check_violation';
end
$$;

ALTER FUNCTION outbox.refuse_transition() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_uncounted() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if new.removed is not null then
        return new;
    end if;
    if not pg_try_advisory_xact_lock(outbox.removal_lock(new.topic)) then
        raise exception 'stop this relay: events of topic % are being removed from the event store, and this relay is of a version that does not count them', new.topic
            using errcode = 'object_not_in_prerequisite_state', hint = 'A relay of the version of these migrations puts the topic out again.';
    elsif exists (select from outbox.removed r where r.topic = new.topic) then
        raise exception 'stop this relay: events of topic % were removed from the event store, and this relay is of a version that does not count them', new.topic
            using errcode = 'object_not_in_prerequisite_state', hint = 'A relay of the version of these migrations puts the topic out again.';
    end if;
    new.removed := 0;
    return new;
end
$$;

ALTER FUNCTION outbox.refuse_uncounted() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_unpublished(stream_name text, stream bigint, first bigint, last bigint) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    topics text[];
    refused text;
    waits record;
begin
    select array_agg(distinct l.topic) into topics
    from outbox.log l
    where l.retention in ('stream', 'archive') and l.stream = refuse_unpublished.stream and l.version between first and last and l.topic is not null;
    -- What goes nowhere waits for nobody.
    if topics is null then
        return;
    end if;
    refused := outbox.history_refusal();
    if refused is not null then
        raise exception 'stream % keeps its events: %', stream_name, refused
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'What is published cannot be told. See outbox-relay recover inspect, let a relay lead, or finish the recovery; then again.';
    end if;
    refused := outbox.need_of(topics);
    if refused is not null then
        raise exception 'stream % keeps its events: %', stream_name, refused
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'They may be needed to put the topic out again. Wait until that is done, or decide it; then again.';
    end if;
    with going as (
        select l.version, l.topic, l.position, l.transaction_id
        from outbox.log l
        where l.retention in ('stream', 'archive') and l.stream = refuse_unpublished.stream and l.version between first and last and l.topic is not null
    ), named as (
        select s.topic, s.partition from outbox.topic_stream s where s.topic in (select g.topic from going g)
    ), at as (
        select passed.batch_number as passed_number, passed.position as passed_position, coalesce(again.base_number, opened.needed_number) as needed_number,
               ahead.batch_number as target_number, ahead.last_position as target_position
        from named
        cross join lateral (
            select s.batch_number, s.last_position from outbox.share s
            where s.topic = named.topic and s.partition = named.partition order by s.batch_number desc limit 1
        ) ahead
        left join lateral (
            select p.batch_number, p.position from outbox.progress p
            where p.topic = named.topic and p.partition = named.partition order by p.batch_number desc, p.position desc limit 1
        ) passed on true
        left join outbox.reissue again on again.batch_number = passed.batch_number
        left join lateral (select 0::bigint as needed_number from outbox.era e where e.batch_number > 0 and e.batch_number = passed.batch_number) opened on true
    ), floor as (
        select greatest(coalesce(
            (select min(coalesce(at.needed_number, at.passed_number - 1, 0)) from at
             where (coalesce(at.passed_number, 0), coalesce(at.passed_position, 0)) < (at.target_number, at.target_position)),
            (select max(b.number) from outbox.batch b)), 0) as number
    ), within as (
        select e.era, e.position_floor from outbox.era e, floor where e.batch_number <= floor.number order by e.era desc limit 1
    ), passed as (
        select coalesce((select b.snapshot from outbox.batch b, floor where b.number <= floor.number order by b.number desc limit 1), '3:3:') as snapshot,
               coalesce((select within.position_floor from within), 0) as era_floor,
               coalesce((select e.cut_through from outbox.era e, within where e.era = within.era + 1), 9223372036854775807) as era_end
    )
    select going.version, going.topic into waits
    from going, passed
    where going.position > passed.era_end or going.position > passed.era_floor and not pg_visible_in_snapshot(going.transaction_id, passed.snapshot)
    order by going.version limit 1;
    if found then
        raise exception 'stream % keeps version %: it is not yet published to topic %', stream_name, waits.version, waits.topic
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'Wait until the relay has passed it (outbox_ops.topics), or take up again what was set aside.';
    end if;
end
$$;

ALTER FUNCTION outbox.refuse_unpublished(stream_name text, stream bigint, first bigint, last bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_without_eras() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if new.expires_at > clock_timestamp() and current_setting('outbox.knows_eras', true) is distinct from 'on'
       and exists (select from outbox.era e where e.era > 1 and e.guarded) then
        raise exception 'an era was opened, which this relay does not know and would publish in part: run the version that belongs to this schema'
            using errcode = 'undefined_column';
    end if;
    return new;
end
$$;

ALTER FUNCTION outbox.refuse_without_eras() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.refuse_without_reason(reason text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if btrim(coalesce(reason, '')) = '' or length(reason) > 2000 then
        raise exception 'say why, in 1 to 2000 characters: it is kept in the audit' using errcode = 'invalid_parameter_value';
    end if;
end
$$;

ALTER FUNCTION outbox.refuse_without_reason(reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.release_rebuild(projection text, reason text, accept_differences boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    update outbox.projection_rebuild r
    set state = 'building', accept_differences = r.accept_differences or release_rebuild.accept_differences, reason = r.reason || '; ' || release_rebuild.reason
    where r.projection = release_rebuild.projection and (r.state = 'held' or r.state = 'building' and release_rebuild.accept_differences);
    if not found then
        raise exception 'no rebuild of projection % is held', quote_nullable(left(projection, 100))
            using errcode = 'no_data_found', hint = 'One that is building is released only with accept_differences.';
    end if;
end
$$;

ALTER FUNCTION outbox.release_rebuild(projection text, reason text, accept_differences boolean) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.release_redrive_items(operation bigint) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '100ms'
    AS $$
declare
    asked outbox.operation;
    item record;
    room bigint;
    outcome text;
    busy_lane text := '';
    found_in_line bigint;
    released integer := 0;
    now timestamptz := clock_timestamp();
begin
    select * into asked from outbox.operation o
    where o.number = release_redrive_items.operation and o.kind = 'redrive' and o.state = 'running' for update skip locked;
    if not found or exists (select from outbox.consumer c where c.name = asked.consumer and c.paused_at is not null) then
        return 0;
    end if;
    select 1000 - count(*) into room from outbox.operation_item i where i.operation = asked.number and i.state = 'released' and not i.in_line;
    if room < 500 then
        -- Each is found in line once, and from then on not looked at again: that bounds this.
        update outbox.operation_item i set in_line = true
        from (select r.place from outbox.operation_item r
              join outbox.dead_letter d on d.number = r.dead_letter
              join outbox.parked_lane l on (l.consumer, l.flow, l.lane) = (d.consumer, d.flow, d.lane)
              where r.operation = asked.number and r.state = 'released' and not r.in_line and l.state = 'dead'
              for no key update of r skip locked) standing
        where i.operation = asked.number and i.place = standing.place;
        get diagnostics found_in_line = row_count;
        room := room + found_in_line;
    end if;
    if asked.rate is not null then
        asked.released_until := greatest(asked.released_until, now - greatest(interval '2 seconds', interval '1 second' / asked.rate));
        room := least(room, floor(extract(epoch from now - asked.released_until) * asked.rate));
    end if;
    for item in
        select i.place, d.number, d.flow || chr(31) || d.lane as lane
        from outbox.operation_item i join outbox.dead_letter d on d.number = i.dead_letter
        where i.operation = asked.number and i.state = 'waiting' order by i.place limit greatest(0, least(room, 500))
    loop
        -- Nothing of a lane overtakes what is before it.
        continue when item.lane = busy_lane;
        outcome := outbox.put_back(item.number);
        if outcome = 'busy' then
            busy_lane := item.lane;
            continue;
        end if;
        released := released + (outcome = 'released')::integer;
        update outbox.operation_item i set state = outcome, changed_at = clock_timestamp()
        where i.operation = asked.number and i.place = item.place;
    end loop;
    update outbox.operation o
    set released_until = coalesce(asked.released_until + released * interval '1 second' / asked.rate, now)
    where o.number = asked.number and released > 0;
    update outbox.operation o set state = 'finished', finished_at = clock_timestamp()
    where o.number = asked.number
      and not exists (select from outbox.operation_item i where i.operation = asked.number and i.state = 'waiting')
      and not exists (select from outbox.operation_item i where i.operation = asked.number and i.state = 'released');
    return released;
end
$$;

ALTER FUNCTION outbox.release_redrive_items(operation bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.release_seized(consumer text, streams text[], epochs bigint[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    update outbox.consumer_lease l
    set holder = null, expires_at = '-infinity'
    from unnest(streams, epochs) given (stream, epoch)
    where l.consumer = release_seized.consumer and l.stream = given.stream and l.epoch = given.epoch and l.holder ^@ 'seek '
$$;

ALTER FUNCTION outbox.release_seized(consumer text, streams text[], epochs bigint[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.remember_dead(letter outbox.dead_letter) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if letter.recorded_at is not null and outbox.ensure_inbox_day(letter.recorded_at) then
        insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
        values (letter.consumer, letter.source, letter.id, letter.recorded_at, 'dead', letter.stream, letter.entry_id);
    else
        insert into outbox.inbox_foreign (consumer, source, id, outcome, stream, entry_id, recorded_at)
        values (letter.consumer, letter.source, letter.id, 'dead', letter.stream, letter.entry_id,
                case when letter.recorded_at < clock_timestamp() then letter.recorded_at end);
    end if;
end
$$;

ALTER FUNCTION outbox.remember_dead(letter outbox.dead_letter) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.removal_lock(topic text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select hashtextextended('outbox.removed ' || topic, 0)
$$;

ALTER FUNCTION outbox.removal_lock(topic text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.require_consumer(consumer text, reason text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if coalesce(reason, '') = '' then
        raise exception 'a reason must be given: it is kept in outbox.consumer_audit' using errcode = 'invalid_parameter_value';
    end if;
    if not exists (select from outbox.consumer c where c.name = require_consumer.consumer) then
        raise exception 'there is no consumer % in this database', consumer
            using errcode = 'no_data_found',
                  hint = format('Known are: %s.', coalesce((select string_agg(c.name, ', ' order by c.name) from outbox.consumer c), 'none'));
    end if;
end
$$;

ALTER FUNCTION outbox.require_consumer(consumer text, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.require_seized(consumer text, streams text[], epochs bigint[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    lost text;
begin
    perform from outbox.consumer_lease l
    join unnest(streams, epochs) given (stream, epoch) on given.stream = l.stream and given.epoch = l.epoch
    where l.consumer = require_seized.consumer and l.holder ^@ 'seek ' and l.expires_at > clock_timestamp()
    order by l.stream
    for key share of l;
    select given.stream into lost
    from unnest(streams, epochs) given (stream, epoch)
    where not exists (select from outbox.consumer_lease l
                      where l.consumer = require_seized.consumer and l.stream = given.stream and l.epoch = given.epoch
                        and l.holder ^@ 'seek ' and l.expires_at > clock_timestamp())
    limit 1;
    if lost is not null then
        raise exception 'stream % is not seized, or its lease ran out in the middle of the seek: a member may apply it', lost
            using errcode = 'object_not_in_prerequisite_state', hint = 'Run the same seek again.';
    end if;
end
$$;

ALTER FUNCTION outbox.require_seized(consumer text, streams text[], epochs bigint[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.restore_stream(stream text, reason text, max integer DEFAULT 10000, OUT events bigint, OUT finished boolean) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    held record;
    first_version bigint;
    last_version bigint;
    moved bigint;
begin
    held := outbox.hold_to_keep(stream, reason, max);
    select min(l.version), max(l.version), count(*) into first_version, last_version, events
    from (select a.version from outbox.log_archive a where a.stream = held.id order by a.version desc limit restore_stream.max) l;
    if events > 0 then
        insert into outbox.stream_step (stream, action, through, events, reason) values (held.id, 'restore', last_version, restore_stream.events, restore_stream.reason);
        update outbox.log l set retention = 'stream' where l.retention = 'archive' and l.stream = held.id and l.version >= first_version;
        get diagnostics moved = row_count;
        perform outbox.expect_count(stream, restore_stream.events, moved);
    end if;
    finished := not exists (select from outbox.log_archive a where a.stream = held.id);
end
$$;

ALTER FUNCTION outbox.restore_stream(stream text, reason text, max integer, OUT events bigint, OUT finished boolean) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.resume_consumer(consumer text, reason text) RETURNS timestamp with time zone
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    since timestamptz;
begin
    perform outbox.require_consumer(consumer, reason);
    select c.paused_at into since from outbox.consumer c where c.name = resume_consumer.consumer for update;
    if since is null then
        raise exception 'consumer % is not paused', consumer using errcode = 'invalid_parameter_value';
    end if;
    update outbox.consumer c set paused_at = null, paused_by = null, paused_reason = null where c.name = resume_consumer.consumer;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('resume', consumer, jsonb_build_object('paused since', since), reason);
    return since;
end
$$;

ALTER FUNCTION outbox.resume_consumer(consumer text, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.resume_operation(number bigint, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    resumed outbox.operation;
begin
    perform outbox.refuse_without_reason(reason);
    update outbox.operation o set state = 'running', resumed_at = clock_timestamp(), released_until = clock_timestamp()
    where o.number = resume_operation.number and o.state = 'cancelled'
    returning * into resumed;
    if not found then
        perform outbox.refuse_operation(resume_operation.number, 'cancelled');
    end if;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('resume', resumed.consumer, jsonb_build_object('operation', resumed.number), reason);
end
$$;

ALTER FUNCTION outbox.resume_operation(number bigint, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.resume_subscription(name text, reason text, generation integer DEFAULT NULL::integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION outbox.resume_subscription(name text, reason text, generation integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.resume_topic(topic text, reason text, partition integer DEFAULT NULL::integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    latest outbox.stream_action;
begin
    latest := outbox.stopped_stream(topic, partition, array['set_aside', 'blocked', 'lost'], 'neither set aside nor blocked, nor did it lose entries');
    -- A resume that a crash undid after the stream went on would set it aside again behind itself.
    perform set_config('synchronous_commit', 'on', true);
    insert into outbox.stream_action (topic, partition, action, batch_number, position, event_id, reason)
    values (topic, latest.partition, 'resume', latest.batch_number, latest.position, latest.event_id, reason);
    notify outbox;
    return latest.position;
end
$$;

ALTER FUNCTION outbox.resume_topic(topic text, reason text, partition integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.retire_master_key(name text, reason text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if coalesce(btrim(reason), '') = '' then
        raise exception 'a reason must be given: it stays in outbox.master_key' using errcode = 'invalid_parameter_value';
    elsif current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        -- Whom it waits for would not be counted.
        raise exception 'refused: a master key is retired in READ COMMITTED transactions, and this one is %', upper(current_setting('transaction_isolation'))
            using errcode = 'feature_not_supported';
    end if;
    update outbox.master_key m set retired_at = clock_timestamp(), retired_by = session_user, reason = retire_master_key.reason
    where m.name = retire_master_key.name and m.retired_at is null;
    if not found and not exists (select from outbox.master_key m where m.name = retire_master_key.name) then
        raise exception 'no key of a subject was ever wrapped with master key %', quote_literal(name) using errcode = 'no_data_found',
              hint = 'outbox.master_keys() has those that were.';
    end if;
    return (select count(*) from outbox.subject_key k where k.master_key = retire_master_key.name and k.wrapped_key is not null);
end
$$;

ALTER FUNCTION outbox.retire_master_key(name text, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.retry_parked_streams(subscription text, stream text, reason text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION outbox.retry_parked_streams(subscription text, stream text, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.rewrap_subject_key(id uuid, old_wrapped bytea, new_wrapped bytea, new_master text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    update outbox.subject_key k set wrapped_key = new_wrapped, master_key = new_master
    where k.id = rewrap_subject_key.id and k.wrapped_key = old_wrapped;
    if not found then
        return false;
    end if;
    insert into outbox.subject_step (key_id, action, reason) values (rewrap_subject_key.id, 'rewrap', 'master key ' || new_master);
    return true;
end
$$;

ALTER FUNCTION outbox.rewrap_subject_key(id uuid, old_wrapped bytea, new_wrapped bytea, new_master text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.ring() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if (current_setting('transaction_isolation') in ('repeatable read', 'serializable')
        or exists (select from outbox.lease l where l.name = 'tail' and l.expires_at > clock_timestamp()))
       and pg_notification_queue_usage() < 0.5 then
        notify outbox;
    end if;
    return null;
end
$$;

ALTER FUNCTION outbox.ring() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.ring_at_once() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if exists (select from outbox.lease l where l.name = 'tail' and l.expires_at > clock_timestamp()) and pg_notification_queue_usage() < 0.5 then
        notify outbox;
    end if;
end
$$;

ALTER FUNCTION outbox.ring_at_once() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.ring_bell() RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if (current_setting('transaction_isolation') in ('repeatable read', 'serializable')
        or exists (select from outbox.lease l where l.name = 'tail' and l.expires_at > clock_timestamp()))
       and pg_notification_queue_usage() < 0.5 then
        notify outbox;
    end if;
    return true;
end
$$;

ALTER FUNCTION outbox.ring_bell() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.said_of_settled(expression text, body text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select format('What appends know of outbox.settings and outbox.topic; triggers make it: change the table. Now: %s, which is %s', expression, body)
$$;

ALTER FUNCTION outbox.said_of_settled(expression text, body text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.seek_stream(consumer text, stream text, epoch bigint, passed_batch numeric, passed_position numeric, replayed_batch numeric, replayed_position numeric, prelude text, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    former record;
begin
    perform outbox.require_consumer(consumer, reason);
    perform outbox.require_seized(consumer, array[stream], array[epoch]);
    delete from outbox.consumer_stream p
    where p.consumer = seek_stream.consumer and p.stream = seek_stream.stream
    returning p.passed_batch as batch, p.passed_position as "position", p.replayed_batch as again_batch, p.replayed_position as again_position
    into former;
    insert into outbox.consumer_stream (consumer, stream, passed_batch, passed_position, replayed_batch, replayed_position, prelude)
    select seek_stream.consumer, seek_stream.stream, seek_stream.passed_batch, seek_stream.passed_position, again.batch, again."position",
           seek_stream.prelude
    from (
        select given.batch, given."position"
        from (values (seek_stream.replayed_batch, seek_stream.replayed_position), (former.again_batch, former.again_position)) given (batch, "position")
        order by given.batch desc nulls last, given."position" desc
        limit 1
    ) again;
    update outbox.consumer c set seeks = c.seeks + 1 where c.name = seek_stream.consumer;
    if seek_stream.replayed_batch is null then
        perform outbox.release_seized(consumer, array[stream], array[epoch]);
    end if;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('seek', consumer,
            jsonb_build_object('stream', stream, 'from', format('%s-%s', coalesce(former.batch, 0), coalesce(former."position", 0)),
                               'to', format('%s-%s', passed_batch, passed_position), 'inbox forgotten', replayed_batch is not null),
            reason);
end
$$;

ALTER FUNCTION outbox.seek_stream(consumer text, stream text, epoch bigint, passed_batch numeric, passed_position numeric, replayed_batch numeric, replayed_position numeric, prelude text, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.seize_stream(consumer text, stream text, holder text, lease interval, reason text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '5s'
    AS $$
declare
    former record;
begin
    if coalesce(reason, '') = '' then
        raise exception 'a reason must be given: it is kept in outbox.consumer_audit' using errcode = 'invalid_parameter_value';
    elsif holder is null or not holder ^@ 'seek ' then
        raise exception 'a seek holds a stream under a name of its own, as: seek 0199a0; got %', left(holder, 100) using errcode = 'invalid_parameter_value';
    end if;
    insert into outbox.consumer (name) values (seize_stream.consumer) on conflict do nothing;
    insert into outbox.consumer_lease (consumer, stream) values (seize_stream.consumer, seize_stream.stream) on conflict do nothing;
    select l.* into former from outbox.consumer_lease l
    where l.consumer = seize_stream.consumer and l.stream = seize_stream.stream for no key update;
    if former.holder like 'seek %' and former.expires_at > clock_timestamp() then
        raise exception '% is at work on stream % of consumer %', former.holder, stream, consumer
            using errcode = 'object_in_use', hint = 'Wait until it is done. If it crashed, its lease ends within seconds.';
    end if;
    update outbox.consumer_lease l
    set epoch = l.epoch + 1, holder = seize_stream.holder, acquired_at = clock_timestamp(), expires_at = clock_timestamp() + seize_stream.lease
    where l.consumer = seize_stream.consumer and l.stream = seize_stream.stream;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('seek begun', consumer, jsonb_build_object('stream', stream, 'epoch', former.epoch + 1, 'former holder', former.holder), reason);
    return former.epoch + 1;
end
$$;

ALTER FUNCTION outbox.seize_stream(consumer text, stream text, holder text, lease interval, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.select_dead_letters(filter jsonb, states text[] DEFAULT '{dead}'::text[], after bigint DEFAULT 0, most bigint DEFAULT NULL::bigint) RETURNS SETOF bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    return query execute format(
        'select v.number from outbox_ops.dead_letters v where v.number > %s and v.state = any (%L) and %s order by v.number limit %s',
        after, states, outbox.dead_letter_predicate(filter), coalesce(most::text, 'all'));
end
$$;

ALTER FUNCTION outbox.select_dead_letters(filter jsonb, states text[], after bigint, most bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.set_inbox_keep(keep interval, reason text, force boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    lowest record;
    is_low boolean;
begin
    if coalesce(reason, '') = '' then
        raise exception 'a reason must be given: it is kept in outbox.consumer_audit' using errcode = 'invalid_parameter_value';
    end if;
    select * into lowest from outbox.inbox_floor();
    is_low := keep is not null and (lowest.floor is null or keep < lowest.floor);
    update outbox.inbox_settings s
    set keep = set_inbox_keep.keep,
        forced_reason = case when is_low and force then set_inbox_keep.reason end,
        forced_by = case when is_low and force then session_user end,
        forced_at = case when is_low and force then clock_timestamp() end;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('set inbox keep', '*', jsonb_build_object('keep', keep, 'floor', lowest.floor, 'below the floor', is_low), reason);
end
$$;

ALTER FUNCTION outbox.set_inbox_keep(keep interval, reason text, force boolean) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.settle(functions text[]) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '2s'
    SET quote_all_identifiers TO 'off'
    SET standard_conforming_strings TO 'on'
    AS $$
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

ALTER FUNCTION outbox.settle(functions text[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.settle_anew() RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '2s'
    AS $$
declare
    other record;
    was_other boolean := false;
begin
    if not exists (select from outbox.to_settle() t where outbox.is_settled(t.name, t.expression) is not true)
       and not exists (select from pg_trigger t where t.tgrelid in ('outbox.settings'::regclass, 'outbox.topic'::regclass) and t.tgname ^@ 'settles' and t.tgenabled <> 'A') then
        return false;
    end if;
    perform outbox.begin_to_settle();
    for other in select t.tgrelid::regclass as relation, t.tgname as name from pg_trigger t
                 where t.tgrelid in ('outbox.settings'::regclass, 'outbox.topic'::regclass) and t.tgname ^@ 'settles' and t.tgenabled <> 'A' loop
        execute format('alter table %s enable always trigger %I', other.relation, other.name);
        was_other := true;
    end loop;
    return outbox.settle(array['settled_source', 'settled_payload_limit', 'settled_retention']) or was_other;
end
$$;

ALTER FUNCTION outbox.settle_anew() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.settled_payload_limit() RETURNS integer
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN outbox.look_up_payload_limit();

ALTER FUNCTION outbox.settled_payload_limit() OWNER TO outbox_maintainer;

COMMENT ON FUNCTION outbox.settled_payload_limit() IS 'What appends know of outbox.settings and outbox.topic; triggers make it: change the table. Now: outbox.look_up_payload_limit(), which is RETURN outbox.look_up_payload_limit()';

CREATE FUNCTION outbox.settled_retention(topic text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN 'standard'::text;

ALTER FUNCTION outbox.settled_retention(topic text) OWNER TO outbox_maintainer;

COMMENT ON FUNCTION outbox.settled_retention(topic text) IS 'What appends know of outbox.settings and outbox.topic; triggers make it: change the table. Now: ''standard''::text, which is RETURN ''standard''::text';

CREATE FUNCTION outbox.settled_source() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN outbox.look_up_source();

ALTER FUNCTION outbox.settled_source() OWNER TO outbox_maintainer;

COMMENT ON FUNCTION outbox.settled_source() IS 'What appends know of outbox.settings and outbox.topic; triggers make it: change the table. Now: outbox.look_up_source(), which is RETURN outbox.look_up_source()';

CREATE FUNCTION outbox.skip_event(topic text, event_id uuid, reason text, partition integer DEFAULT NULL::integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    latest outbox.stream_action;
    passed outbox.progress;
begin
    -- A skip that a crash undid after the next event was published would put that event on the stream twice.
    perform set_config('synchronous_commit', 'on', true);
    latest := outbox.stopped_stream(topic, partition, array['set_aside'], 'not set aside');
    if latest.event_id is distinct from skip_event.event_id then
        raise exception 'topic % waits at event %, not at %', topic, latest.event_id, skip_event.event_id using errcode = 'invalid_parameter_value';
    elsif latest.position = 0 then
        raise exception 'entry % of topic % is no event: it says that the topic has more partitions now, and consumers wait for it', event_id, topic
            using errcode = 'invalid_parameter_value', hint = 'Mend the cause, then: outbox-relay topic resume.';
    end if;
    select * into passed from outbox.progress p
    where p.topic = skip_event.topic and p.partition = latest.partition order by p.batch_number desc, p.position desc limit 1;
    insert into outbox.progress (topic, partition, batch_number, position, chain_batch_id, chain_position, epoch)
    values (topic, latest.partition, latest.batch_number, latest.position,
            coalesce(passed.chain_batch_id, 0), coalesce(passed.chain_position, 0), coalesce(passed.epoch, 0));
    insert into outbox.unpublished (position, topic, id, source, type, key, event, reason)
    select l.position, l.topic, l.id, l.source, l.type, l.key, to_jsonb(l), skip_event.reason from outbox.log l
    where l.topic = skip_event.topic and l.position = latest.position;
    insert into outbox.stream_action (topic, partition, action, batch_number, position, event_id, reason)
    values (topic, latest.partition, 'skip', latest.batch_number, latest.position, latest.event_id, reason);
    notify outbox;
    return latest.position;
end
$$;

ALTER FUNCTION outbox.skip_event(topic text, event_id uuid, reason text, partition integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.skip_parked_event(subscription text, stream text, version bigint, reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION outbox.skip_parked_event(subscription text, stream text, version bigint, reason text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.stale_subject_keys(master text, max integer) RETURNS TABLE(id uuid, wrapped_key bytea, master_key text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select k.id, k.wrapped_key, k.master_key from outbox.subject_key k
    where k.wrapped_key is not null and k.master_key <> master
    order by k.id limit stale_subject_keys.max
$$;

ALTER FUNCTION outbox.stale_subject_keys(master text, max integer) OWNER TO outbox_maintainer;

CREATE TABLE outbox.stream_action (
    number bigint NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    action text NOT NULL,
    batch_number bigint,
    "position" bigint,
    event_id uuid,
    reason text NOT NULL,
    actor text DEFAULT SESSION_USER NOT NULL,
    acted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT stream_action_action_check CHECK ((action = ANY (ARRAY['set_aside'::text, 'blocked'::text, 'unblocked'::text, 'resume'::text, 'skip'::text, 'lost'::text]))),
    CONSTRAINT stream_action_reason_check CHECK ((reason <> ''::text))
);

ALTER TABLE outbox.stream_action OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.stream_action IS 'Audit of streams set aside by the relay and resumed or skipped past by a person; the latest row of a stream is its state.';

COMMENT ON COLUMN outbox.stream_action.partition IS '0: the stream without a number; n + 1: partition n.';

CREATE FUNCTION outbox.stopped_stream(topic text, partition integer, actions text[], wanted text) RETURNS outbox.stream_action
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    stopped outbox.stream_action[];
begin
    select array_agg(latest order by latest.partition) into stopped
    from (
        select distinct on (a.partition) a.* from outbox.stream_action a
        where a.topic = stopped_stream.topic
          and (stopped_stream.partition is null or a.partition = stopped_stream.partition + 1)
        order by a.partition, a.number desc
    ) latest
    where latest.action = any(actions);
    if stopped is null then
        raise exception '% is %', concat('topic ' || topic, ' partition ' || partition), wanted using errcode = 'no_data_found';
    elsif cardinality(stopped) > 1 and stopped[1].partition > 0 then
        raise exception 'several partitions of topic % wait: say which of them is meant: %', topic,
            (select string_agg((s.partition - 1)::text, ', ' order by s.partition) from unnest(stopped) s)
            using errcode = 'invalid_parameter_value', hint = 'outbox-relay topic list shows why each waits; name one with --partition.';
    end if;
    return stopped[1];
end
$$;

ALTER FUNCTION outbox.stopped_stream(topic text, partition integer, actions text[], wanted text) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.stream_standing(stream text, OUT version bigint, OUT first_version bigint, OUT archived_through bigint, OUT gone boolean) RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select outbox.version_of(s.id),
           (select e.version from outbox.stored_event e where e.stream_id = s.id order by e.version limit 1),
           (select a.version from outbox.log_archive a where a.stream = s.id order by a.version desc limit 1),
           exists (select from outbox.stream_step t where t.stream = s.id and t.action = 'tombstone')
    from outbox.stream s where s.name = stream_standing.stream
$$;

ALTER FUNCTION outbox.stream_standing(stream text, OUT version bigint, OUT first_version bigint, OUT archived_through bigint, OUT gone boolean) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.subscription_backlog(subscription text, generation integer) RETURNS TABLE(events bigint, exact boolean, oldest_recorded_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER COST 1000
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
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

ALTER FUNCTION outbox.subscription_backlog(subscription text, generation integer) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.summary() RETURNS TABLE(as_of timestamp with time zone, verdict text, reason text, backlog bigint, backlog_exact boolean, oldest_unpublished_age interval, leader text, epoch bigint, lease_expires_at timestamp with time zone, live_relays bigint, topics_set_aside bigint, topics_blocked bigint, last_batch bigint, last_batch_events bigint, last_batch_at timestamp with time zone, events_skipped bigint, notification_queue_usage double precision)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
    with tail as (
        select *, expires_at > clock_timestamp() as valid from outbox.lease where name = 'tail'
    ), leader as (
        select r.instance, r.state, r.reason from outbox.relay r join tail on tail.holder = r.instance and tail.valid
    ), last_batch as (
        select * from outbox.batch where number > 0 order by number desc limit 1
    ), backlog as (
        select coalesce(sum(events), 0)::bigint as events, coalesce(bool_and(exact), true) as exact, max(oldest_age) as oldest_age
        from outbox_ops.backlog
    ), aside as (
        select count(*) filter (where state = 'set_aside') as topics, count(*) filter (where state = 'blocked') as blocked,
               count(*) filter (where state = 'lost') as lost, min(topic) filter (where state = 'set_aside') as first,
               min(topic) filter (where state = 'blocked') as first_blocked, min(stream) filter (where state = 'lost') as first_lost
        from outbox_ops.topics
    ), gone as (
        -- For a day: whoever misses it holds, and is told as well.
        select count(*) as losses, min(l.stream) as first
        from outbox.loss l where l.found_at > clock_timestamp() - interval '1 day' and cardinality(l.missed_by) > 0
    ), refused as (
        -- A relay that refuses gives the lease back between its looks.
        select r.reason from outbox.relay r
        where r.state = 'refused' and r.seen_at > clock_timestamp() - interval '30 seconds' order by r.seen_at desc limit 1
    ), held as (
        -- Longer than a group takes that was restarted or is catching up.
        select count(*) as streams, min(h.stream) as first, (array_agg(h.held_by order by h.stream))[1] as by
        from outbox.stream_seen h where h.held_since < clock_timestamp() - interval '10 minutes'
    ), refused_hole as (
        select count(*) as holes, min(h.stream) as first, (array_agg(h.group_name order by h.stream))[1] as by
        from outbox.hole h where h.state = 'refused'
    ), judged as (
        select case
            when not tail.valid and refused.reason is not null then array['stalled', refused.reason]
            when not tail.valid and backlog.events > 0 then array['stalled', format('no relay holds the lease and %s events wait: start outbox-relay run', backlog.events)]
            when not tail.valid then array['degraded', 'no relay holds the lease: the next events will wait; start outbox-relay run']
            when leader.state in ('waiting', 'refused') then array['stalled', coalesce(leader.reason, format('the leading relay is %s', leader.state))]
            when aside.topics > 0 then array['degraded', format('%s stream(s) wait for a person, the first is %s: see outbox_ops.topics', aside.topics, aside.first)]
            when aside.lost > 0 then array['degraded', format('%s stream(s) lost entries and are being repaired, the first is %s: see outbox_ops.topics and outbox_ops.reissues', aside.lost, aside.first_lost)]
            when aside.blocked > 0 then array['degraded', format('%s stream(s) are not taken by the sink, the first is %s: see outbox_ops.topics', aside.blocked, aside.first_blocked)]
            when refused_hole.holes > 0 then array['degraded', format('%s group(s) miss entries that cannot be put out again, the first is %s on %s: see outbox_ops.holes', refused_hole.holes, refused_hole.by, refused_hole.first)]
            when gone.losses > 0 then array['degraded', format('%s stream(s) lost entries that cannot be put out again and that some group had not acknowledged, the first is %s: see outbox_ops.losses', gone.losses, gone.first)]
            when held.streams > 0 then array['degraded', format('%s stream(s) cannot be trimmed, the first is %s, held by group %s: see outbox_ops.streams', held.streams, held.first, held.by)]
            when backlog.oldest_age > interval '1 minute' then array['degraded', format('the oldest event waits for %s', date_trunc('second', backlog.oldest_age))]
            else array['ok', null] end as words
        from tail cross join backlog cross join aside cross join held cross join refused_hole cross join gone left join leader on true left join refused on true
    )
    select clock_timestamp() as as_of,
           judged.words[1] as verdict,
           judged.words[2] as reason,
           backlog.events as backlog,
           backlog.exact as backlog_exact,
           backlog.oldest_age as oldest_unpublished_age,
           case when tail.valid then tail.holder end as leader,
           tail.epoch,
           nullif(tail.expires_at, '-infinity') as lease_expires_at,
           (select count(*) from outbox_ops.relays where live) as live_relays,
           aside.topics as topics_set_aside,
           aside.blocked as topics_blocked,
           last_batch.number as last_batch,
           last_batch.event_count as last_batch_events,
           last_batch.cut_at as last_batch_at,
           (select count(*) from outbox.unpublished) as events_skipped,
           pg_notification_queue_usage() as notification_queue_usage
    from judged cross join tail cross join backlog cross join aside left join last_batch on true
$$;

ALTER FUNCTION outbox.summary() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.tags_of(tags text[]) RETURNS text[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

ALTER FUNCTION outbox.tags_of(tags text[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.tags_refusal(tags text[]) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case when cardinality(tags) > 32 then 'tags: must be at most 32, got ' || cardinality(tags)
                when exists (select from unnest(tags) t (tag) where t.tag is null or t.tag = '' or octet_length(t.tag) > 200)
                then 'tags: each must be 1 to 200 bytes' end
$$;

ALTER FUNCTION outbox.tags_refusal(tags text[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.take_up_cursor(cursor text, OUT era integer, OUT system_identifier bigint, OUT filter text, OUT above bigint, OUT done pg_snapshot, OUT own xid8, OUT own_through bigint, OUT backward boolean, OUT goal pg_snapshot, OUT goal_own xid8, OUT floor bigint, OUT through bigint, OUT place bigint, OUT era_floor bigint, OUT seen pg_snapshot, OUT drawn bigint) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    here record;
    told record;
    known pg_snapshot;
    of_transaction xid8;
    problem text;
begin
    if pg_is_in_recovery() then
        raise exception 'this server is a standby: its snapshots leave out transactions in progress, whose events would be missed'
            using errcode = 'read_only_sql_transaction', hint = 'Read across streams on the primary. Single streams can be read here.';
    end if;
    -- The position is read when the snapshot was taken: nothing that it shows lies above.
    select e.era, e.position_floor, e.system_identifier as of_era, system.system_identifier, pg_current_snapshot() as seen,
           case when p.is_called then p.last_value else 0 end as drawn
    into here
    from (select latest.* from outbox.era latest order by latest.era desc limit 1) e
    cross join pg_catalog.pg_control_system() system
    cross join outbox.log_position p;
    if here.of_era <> here.system_identifier then
        raise exception 'this server (%) is not the one that its newest era is of (%): transaction ids of events mean nothing here', here.system_identifier, here.of_era
            using errcode = 'OB410', hint = 'Open an era: outbox-relay recover.';
    end if;
    era := here.era;
    era_floor := here.position_floor;
    system_identifier := here.system_identifier;
    seen := here.seen;
    drawn := here.drawn;
    above := 0;
    -- Every transaction id is at least 3.
    done := '3:3:';
    if take_up_cursor.cursor is null then
        return;
    end if;
    select p.* into told from outbox.parse_cursor(take_up_cursor.cursor) p;
    known := coalesce(told.goal, told.done);
    of_transaction := coalesce(told.goal_own, told.own);
    problem := case
        when told.system_identifier <> here.system_identifier
        then format('it is of server %s, and this one is %s', told.system_identifier, here.system_identifier)
        when told.era <> here.era then format('it is of era %s, and this is era %s: the database went back in time since, or was before', told.era, here.era)
        when pg_snapshot_xmax(known) > pg_snapshot_xmax(seen) and current_setting('transaction_isolation') = 'read committed'
        then format('it knows of transactions up to %s, and the next one here is %s: the database went back in time', pg_snapshot_xmax(known), pg_snapshot_xmax(seen))
        when pg_snapshot_xmax(known) > pg_snapshot_xmax(seen) or exists (select from pg_snapshot_xip(seen) open where pg_visible_in_snapshot(open, known))
        then 'this transaction began to see before the cursor was taken: it does not see everything that is told as read'
        when of_transaction is distinct from pg_current_xact_id_if_assigned() and not pg_visible_in_snapshot(of_transaction, seen)
        then format('it was taken in transaction %s, which has not ended: it is to be used there, or when that has committed', of_transaction) end;
    if problem is not null then
        raise exception 'this cursor cannot be gone on from: %', problem
            using errcode = 'OB410', hint = 'Read from the beginning, or from a cursor of this database as it is now.';
    end if;
    filter := told.filter;
    above := told.above;
    done := told.done;
    own := told.own;
    own_through := told.own_through;
    backward := told.backward;
    goal := told.goal;
    goal_own := told.goal_own;
    floor := told.floor;
    through := told.through;
    place := told.place;
end
$$;

ALTER FUNCTION outbox.take_up_cursor(cursor text, OUT era integer, OUT system_identifier bigint, OUT filter text, OUT above bigint, OUT done pg_snapshot, OUT own xid8, OUT own_through bigint, OUT backward boolean, OUT goal pg_snapshot, OUT goal_own xid8, OUT floor bigint, OUT through bigint, OUT place bigint, OUT era_floor bigint, OUT seen pg_snapshot, OUT drawn bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.takes_everything(filter jsonb) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if filter - array['consumer', 'dead_before', 'dead_after'] <> '{}' then
        return false;
    end if;
    return filter - 'consumer' = '{}' or not exists (
        select from outbox.dead_letter d
        where d.state = 'dead' and (filter ->> 'consumer' is null or d.consumer = filter ->> 'consumer')
          and d.number not in (select outbox.select_dead_letters(filter)));
end
$$;

ALTER FUNCTION outbox.takes_everything(filter jsonb) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.time_refusal("time" timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    select case when not ("time" >= timestamptz '0001-01-01 00:00:00+00' and "time" < timestamptz '10000-01-01 00:00:00+00')
        then 'time: must be in the years 1 to 9999, got ' || "time" end
$$;

ALTER FUNCTION outbox.time_refusal("time" timestamp with time zone) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.to_settle() RETURNS TABLE(name text, arguments text, result text, expression text)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select made.name, made.arguments, made.result,
           case when current_setting('transaction_isolation') = 'read committed' then coalesce(made.constant, made.look) else made.look end
    from (
        select 'settled_source', '', 'text', (select format('%L::text', s.source) from outbox.settings s), 'outbox.look_up_source()'
        union all
        select 'settled_payload_limit', '', 'integer', (select format('%L::integer', s.payload_limit_bytes) from outbox.settings s), 'outbox.look_up_payload_limit()'
        union all
        select 'settled_retention', 'topic text', 'text',
               case when count(*) > 8 then null
                    when count(*) = 0 then format('%L::text', 'standard')
                    else format('case topic %s else %L end', string_agg(format('when %L then %L', kept.name, kept.retention), ' ' order by kept.name), 'standard') end,
               'outbox.look_up_retention(topic)'
        from (select k.name, k.retention from outbox.topic k where k.retention <> 'standard' limit 9) kept
    ) made (name, arguments, result, constant, look)
$$;

ALTER FUNCTION outbox.to_settle() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.tombstone_stream(stream text, reason text, max integer DEFAULT 10000, OUT events bigint, OUT finished boolean) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    held_id bigint;
    held_version bigint;
    left_there bigint;
begin
    perform outbox.refuse_to_keep(reason, max);
    select s.id into held_id from outbox.stream s where s.name = tombstone_stream.stream for no key update;
    if not found then
        raise exception 'stream % is not there', stream using errcode = 'no_data_found';
    end if;
    held_version := outbox.version_of(held_id);
    if not outbox.is_buried(held_id) then
        perform outbox.hold_topics(held_id, 1, held_version);
        perform outbox.refuse_unpublished(stream, held_id, 1, held_version);
        select count(*) into left_there
        from (select from outbox.log l where l.retention in ('stream', 'archive') and l.stream = held_id limit tombstone_stream.max + 1) l;
        -- One chunk that deletes everything says it by itself.
        if left_there not between 1 and max then
            insert into outbox.stream_step (stream, action, through, events, reason) values (held_id, 'tombstone', held_version, 0, tombstone_stream.reason);
        end if;
    end if;
    select d.events, d.finished into tombstone_stream.events, tombstone_stream.finished
    from outbox.drop_events(stream, held_id, held_version, 'tombstone', reason, max) d;
end
$$;

ALTER FUNCTION outbox.tombstone_stream(stream text, reason text, max integer, OUT events bigint, OUT finished boolean) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.trace_caused(event_id text, transactions bigint[]) RETURNS TABLE(at timestamp with time zone, step text, detail jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER COST 1000 ROWS 10
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
    with now as materialized (
        select pg_snapshot_xmax(pg_current_snapshot())::text::numeric as next
    ), meant as materialized (
        select distinct given.xmin, (latest.number - case when latest.number >= now.next then 4294967296 else 0 end) as number
        from now, unnest(transactions) given (xmin),
             lateral (select div(now.next, 4294967296) * 4294967296 + given.xmin as number) latest
    )
    select l.recorded_at, 'caused', jsonb_build_object('position', l.position, 'topic', l.topic, 'source', l.source, 'type', l.type, 'id', l.id,
               'transaction', meant.xmin)
    from meant
    cross join lateral (select l.* from outbox.log l
                        where meant.number > 0 and l.transaction_id = meant.number::text::xid8 and l.causation_id = event_id
                        order by l.position limit 100) l
    order by l.position
$$;

ALTER FUNCTION outbox.trace_caused(event_id text, transactions bigint[]) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.trace_consumers(event_id text, source text DEFAULT NULL::text, recorded_at timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS TABLE(consumer text, at timestamp with time zone, step text, detail jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER COST 1000 ROWS 10
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
    with recursive seen as (
        select c.name as consumer, true as is_foreign,
               (select min(i.source) from outbox.inbox_foreign i where i.consumer = c.name) as source
        from outbox.consumer c where trace_consumers.source is null
        union all
        select c.name, false, (select min(i.source) from outbox.inbox i where i.consumer = c.name)
        from outbox.consumer c where trace_consumers.source is null
        union all
        select s.consumer, s.is_foreign,
               case when s.is_foreign
                    then (select min(i.source) from outbox.inbox_foreign i where i.consumer = s.consumer and i.source > s.source)
                    else (select min(i.source) from outbox.inbox i where i.consumer = s.consumer and i.source > s.source) end
        from seen s where s.source is not null
    ), origin as materialized (
        select distinct known.consumer, known.source
        from (select s.consumer, s.source from seen s where s.source is not null limit 1000) known
        union
        select c.name, trace_consumers.source from outbox.consumer c where trace_consumers.source is not null
    ), entry as materialized (
        select i.consumer, i.outcome, i.stream, i.entry_id, i.applied_at, i.history, i.xmin::text::bigint as transaction
        from origin o
        join outbox.inbox i on i.consumer = o.consumer and i.source = o.source and i.id = event_id
             and i.recorded_at between coalesce(trace_consumers.recorded_at, '-infinity') and coalesce(trace_consumers.recorded_at, 'infinity')
        union all
        select i.consumer, i.outcome, i.stream, i.entry_id, i.applied_at, i.history, i.xmin::text::bigint
        from origin o
        join outbox.inbox_foreign i on i.consumer = o.consumer and i.source = o.source and i.id = event_id
    ), parked as materialized (
        select e.consumer, e.stream, e.entry_id, e.attempts, e.history, e.dead_letter, e.parked_at, l.state, nullif(l.due_at, 'infinity') as due_at,
               (select count(*) from (select from outbox.parked_event before
                                      where (before.consumer, before.flow, before.lane) = (e.consumer, e.flow, e.lane) and before.place < e.place
                                      limit 10000) ahead) as ahead,
               case when l.state = 'dead' then (select max(d.number) from outbox.dead_letter d
                    where (d.consumer, d.flow, d.lane) = (e.consumer, e.flow, e.lane) and d.state = 'dead') end as behind
        from origin o
        join outbox.parked_event e on e.consumer = o.consumer and e.source = o.source and e.id = event_id
        left join outbox.parked_lane l on (l.consumer, l.flow, l.lane) = (e.consumer, e.flow, e.lane)
    ), letter as materialized (
        select d.* from outbox.dead_letter d
        where d.id = event_id and (trace_consumers.source is null or d.source = trace_consumers.source)
        order by d.number limit 1000
    ), attempt as (
        select distinct of.consumer, made.value - 'error' as made
        from (select e.consumer, e.history from entry e
              union all select p.consumer, p.history from parked p
              union all select d.consumer, d.history from letter d) of
        cross join lateral jsonb_array_elements(of.history) made
    )
    select consumer, (made ->> 'failed_at')::timestamptz, 'failed', made - 'failed_at' from attempt
    union all
    select consumer, applied_at, outcome, jsonb_strip_nulls(jsonb_build_object(
               'stream', stream, 'entry_id', entry_id, 'transaction', case when outcome = 'applied' then transaction end))
    from entry e
    where outcome in ('applied', 'skipped')
       or outcome = 'parked' and not exists (select from parked p where p.consumer = e.consumer)
       or outcome = 'dead' and not exists (select from letter d where d.consumer = e.consumer)
    union all
    select consumer, parked_at, 'parked', jsonb_strip_nulls(jsonb_build_object(
               'stream', stream, 'entry_id', entry_id, 'state', state, 'due_at', due_at, 'ahead', ahead, 'attempts', attempts,
               'letter', dead_letter, 'behind_letter', behind))
    from parked
    union all
    select consumer, dead_at, 'dead', jsonb_strip_nulls(jsonb_build_object(
               'stream', stream, 'entry_id', entry_id, 'letter', number, 'state', state, 'kind', error_kind, 'class', error_class,
               'fingerprint', fingerprint, 'attempts', attempts, 'redrives', redrives))
    from letter
    union all
    select consumer, edited_at, 'edited', jsonb_build_object('letter', number, 'actor', edited_by) from letter where edited_at is not null
    union all
    select d.consumer, d.changed_at, 'discarded', jsonb_strip_nulls(jsonb_build_object('letter', d.number, 'actor', said.actor, 'reason', said.reason))
    from letter d
    left join lateral (select a.actor, a.reason from outbox.consumer_audit a
                       where a.action = 'discard' and a.consumer = d.consumer and a.acted_at >= d.changed_at
                       order by a.number limit 1) said on true
    where d.state = 'discarded'
    union all
    select d.consumer, o.created_at, 'redriven', jsonb_strip_nulls(jsonb_build_object(
               'letter', d.number, 'operation', o.number, 'kind', o.kind, 'actor', o.actor, 'reason', o.reason, 'rate', o.rate,
               'state', o.state, 'item', i.state, 'item_changed_at', i.changed_at))
    from letter d
    join outbox.operation_item i on i.dead_letter = d.number
    join outbox.operation o on o.number = i.operation
$$;

ALTER FUNCTION outbox.trace_consumers(event_id text, source text, recorded_at timestamp with time zone) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.trace_log(event_id uuid) RETURNS TABLE(at timestamp with time zone, step text, detail jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER COST 1000 ROWS 10
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
    with recursive appended as materialized (
        select l.position, l.transaction_id, l.recorded_at, l.topic, l.key, l.id, l.source, l.type, l.schema_version,
               l.correlation_id, l.causation_id, l.traceparent, l.version, l.category
        from outbox.log l where l.id = event_id
        order by l.position limit 100
    ), ledger as materialized (
        select (select b.number from outbox.batch b order by b.number limit 1) as first,
               (select b.number from outbox.batch b order by b.number desc limit 1) as last
    ), halving as (
        select a.position, a.transaction_id, ledger.first as lower, ledger.last + 1 as upper from appended a, ledger
        union all
        select h.position, h.transaction_id,
               case when middle.sees then h.lower else middle.number + 1 end,
               case when middle.sees then middle.number else h.upper end
        from halving h
        cross join lateral (select b.number, pg_visible_in_snapshot(h.transaction_id, b.snapshot) as sees
                            from outbox.batch b where b.number = (h.lower + h.upper) / 2) middle
        where h.lower < h.upper
    ), placed as materialized (
        select a.*, b.number, b.batch_id, b.cut_at, b.epoch,
               h.lower <= ledger.first and ledger.first > 0 as is_forgotten,
               coalesce((select 1 + outbox.partition_of(coalesce(a.key, a.id::text), l.partitions) from outbox.topic_layout l
                         where l.topic = a.topic and l.batch_number <= b.number order by l.generation desc limit 1), 0) as slot
        from appended a
        join halving h on h.position = a.position and h.lower = h.upper
        cross join ledger
        left join outbox.batch b on b.number = h.lower
    ), put as (
        -- Its place among the entries of its stream: by its batch, and again by every re-issue that took it out of there.
        select p.position, p.topic, p.slot, p.number, p.batch_id, p.cut_at, p.epoch, null as missing, null as asked_by
        from placed p where p.number is not null and not p.is_forgotten and p.topic is not null
        union all
        select p.position, p.topic, p.slot, again.number, again.batch_id, again.cut_at, again.epoch, r.missing, r.asked_by
        from placed p
        join outbox.reissue r on r.topic = p.topic and r.partition = p.slot and r.batch_number > p.number
        join outbox.batch again on again.number = r.batch_number
        where not p.is_forgotten and not pg_visible_in_snapshot(p.transaction_id, r.base)
          and not exists (select from unnest(r.passed_snapshots, r.passed_positions) passed (snapshot, "position")
                          where p.position <= passed.position and pg_visible_in_snapshot(p.transaction_id, passed.snapshot))
    ), place as materialized (
        select put.*,
               case put.slot when 0 then put.topic else put.topic || ':' || put.slot - 1 end as stream,
               lead(put.number) over (partition by put.position order by put.number) as next_number
        from put
    ), sent as materialized (
        select place.*, passed.recorded_at as passed_at,
               skipped.acted_at as skipped_at, skipped.actor, skipped.reason,
               stopped.action as stopped, stopped.acted_at as stopped_at, stopped.reason as stopped_by
        from place
        left join lateral (select g.batch_number, g.recorded_at from outbox.progress g
                           where g.topic = place.topic and g.partition = place.slot
                             and (g.batch_number, g.position) >= (place.number, place.position)
                           order by g.batch_number, g.position limit 1) passed
            on passed.batch_number < place.next_number or place.next_number is null
        left join lateral (select s.acted_at, s.actor, s.reason from outbox.stream_action s
                           where s.topic = place.topic and s.partition = place.slot and s.action = 'skip' and s.position = place.position
                           order by s.number desc limit 1) skipped on true
        left join lateral (select latest.* from (select s.action, s.acted_at, s.reason from outbox.stream_action s
                                                 where s.topic = place.topic and s.partition = place.slot
                                                 order by s.number desc limit 1) latest
                           where latest.action in ('set_aside', 'blocked')) stopped on true
    )
    select recorded_at, 'appended', jsonb_strip_nulls(jsonb_build_object(
               'position', position, 'topic', topic, 'source', source, 'type', type, 'schema_version', schema_version,
               'correlation_id', correlation_id, 'causation_id', causation_id, 'traceparent', traceparent))
    from placed
    union all
    -- Of the category, not of the stream: its name is a key.
    select null, case when topic is null then 'private' else 'stored' end, jsonb_build_object(
               'position', position, 'version', version, 'category', (select c.name from outbox.category c where c.id = placed.category))
    from placed where version is not null
    union all
    select null, 'uncut', jsonb_build_object('position', position) from placed where number is null and topic is not null
    union all
    select null, 'forgotten', jsonb_build_object('position', position) from placed where is_forgotten
    union all
    select cut_at, case when missing is null then 'cut' else 'reissued' end, jsonb_strip_nulls(jsonb_build_object(
               'position', position, 'batch', number, 'batch_id', batch_id, 'epoch', epoch, 'missing', missing, 'asked_by', asked_by))
    from place
    union all
    select passed_at, 'published', jsonb_build_object(
               'position', position, 'batch', number, 'stream', stream, 'entry_id', batch_id || '-' || position,
               'below_floor', exists (select from outbox.trim_floor f
                                      where f.topic = sent.topic and f.partition = sent.slot
                                        and (f.batch_id, f.position) > (sent.batch_id, sent.position)))
    from sent where passed_at is not null and skipped_at is null
    union all
    select skipped_at, 'unpublished', jsonb_build_object('position', position, 'stream', stream, 'actor', actor, 'reason', reason)
    from sent where skipped_at is not null and next_number is null
    union all
    select stopped_at, 'unsent', jsonb_strip_nulls(jsonb_build_object(
               'position', position, 'stream', stream, 'state', stopped, 'reason', stopped_by))
    from sent where passed_at is null and next_number is null and skipped_at is null
$$;

ALTER FUNCTION outbox.trace_log(event_id uuid) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.truncate_stream(stream text, before_version bigint, reason text, max integer DEFAULT 10000, OUT events bigint, OUT finished boolean) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    held record;
begin
    held := outbox.hold_to_keep(stream, reason, max);
    if before_version is null or before_version not between 1 and held.version + 1 then
        raise exception 'stream % is at version %: before_version must be 1 to %, got %', stream, held.version, held.version + 1, coalesce(before_version::text, 'null')
            using errcode = 'invalid_parameter_value';
    end if;
    select d.events, d.finished into truncate_stream.events, truncate_stream.finished
    from outbox.drop_events(stream, held.id, before_version - 1, 'truncate', reason, max) d;
end
$$;

ALTER FUNCTION outbox.truncate_stream(stream text, before_version bigint, reason text, max integer, OUT events bigint, OUT finished boolean) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.version_of(stream bigint) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select coalesce((select l.version from outbox.log_stream l where l.stream = version_of.stream order by l.version desc limit 1),
                    (select max(s.through) from outbox.stream_step s where s.stream = version_of.stream), 0)
$$;

ALTER FUNCTION outbox.version_of(stream bigint) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.waiting_transactions() RETURNS TABLE(pid integer, kind text, user_name text, application text, state text, started_at timestamp with time zone, age interval, query_started_at timestamp with time zone, waits_for text, prepared_name text, holds_back text[])
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 20
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
    with log_relation as (
        select relid from pg_catalog.pg_partition_tree('outbox.log')
    ), held as (
        select l.pid, l.virtualtransaction,
               bool_or(l.locktype = 'relation' and l.mode = 'RowExclusiveLock') as appends,
               bool_or(l.locktype = 'advisory') as sleep
        from pg_catalog.pg_locks l
        where l.granted and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
          and (l.locktype = 'relation' and l.relation in (select relid from log_relation)
               or l.locktype = 'advisory' and l.mode = 'ShareLock' and l.objsubid = 1
                  and (l.classid::bigint << 32 | l.objid::bigint) = 122550254464888)
        group by l.pid, l.virtualtransaction
    ), transaction as (
        select held.*, 'transaction' as kind, a.usename::text as user_name, a.application_name as application,
               a.xact_start as started_at, a.state, a.query_start as query_started_at,
               nullif(concat_ws(': ', a.wait_event_type, a.wait_event), '') as waits_for, null::text as prepared_name
        from held join pg_catalog.pg_stat_activity a on a.pid = held.pid
        where held.pid <> pg_backend_pid()
        union all
        select held.*, 'prepared', p.owner::text, null, p.prepared, 'prepared', null, null, p.gid
        from held
        -- Its locks go by the virtual transaction it had, or none after a restart; the lock on its own id says which it is.
        join pg_catalog.pg_locks own on own.pid is null and own.virtualtransaction = held.virtualtransaction
                                    and own.locktype = 'transactionid' and own.mode = 'ExclusiveLock'
        join pg_catalog.pg_prepared_xacts p on p.transaction = own.transactionid
        where held.pid is null
    )
    select pid, kind, user_name, application, state, started_at, clock_timestamp() - started_at as age, query_started_at,
           waits_for, prepared_name,
           array_remove(array[case when appends then 'appends' end, case when sleep then 'sleep' end,
                              case when started_at < clock_timestamp() - interval '1 minute' then 'retention' end], null) as holds_back
    from transaction
$$;

ALTER FUNCTION outbox.waiting_transactions() OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.with_data(entry_fields bytea[], data json) RETURNS bytea[]
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
    with field as (
        select n, entry_fields[n] as name, entry_fields[n + 1] as value,
               exists (select from generate_series(1, cardinality(entry_fields) - 1, 2) m where entry_fields[m] = 'event') as is_structured
        from generate_series(1, cardinality(entry_fields) - 1, 2) n
    ), kept as (
        select n, name,
               case when not is_structured then value
                    when name = 'event' then convert_to((
                        select '{' || string_agg(to_json(member.key)::text || ':' || member.value::text, ',' order by member.place) || ',"data":' || data::text || '}'
                        from json_each(convert_from(value, 'UTF8')::json) with ordinality member (key, value, place)
                        where member.key not in ('data', 'data_base64')
                          and (member.key <> 'datacontenttype' or member.value #>> '{}' ~* '^[^;]*[/+]json *(;|$)')), 'UTF8')
                    else value end as value
        from field
        where is_structured or name <> 'data' and (name <> 'content-type' or convert_from(value, 'UTF8') ~* '^[^;]*[/+]json *(;|$)')
    ), whole as (
        select n, name, value from kept
        union all
        select cardinality(entry_fields) + 1, 'data', convert_to(data::text, 'UTF8') from field where not is_structured group by is_structured
    )
    select array_agg(part.value order by whole.n, part.place)
    from whole cross join lateral (values (1, whole.name), (2, whole.value)) part (place, value)
$_$;

ALTER FUNCTION outbox.with_data(entry_fields bytea[], data json) OWNER TO outbox_maintainer;

CREATE FUNCTION outbox.without_trace(extensions json) RETURNS json
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    if extensions -> 'traceparent' is null and extensions -> 'tracestate' is null then
        return extensions;
    end if;
    return (select json_object_agg(e.key, e.value) from json_each(extensions) e where e.key not in ('traceparent', 'tracestate'));
end
$$;

ALTER FUNCTION outbox.without_trace(extensions json) OWNER TO outbox_maintainer;

CREATE TABLE outbox.batch (
    number bigint NOT NULL,
    batch_id bigint NOT NULL,
    kind text DEFAULT 'cut'::text NOT NULL,
    era integer NOT NULL,
    epoch bigint NOT NULL,
    snapshot pg_snapshot NOT NULL,
    event_count bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    cut_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    layouts bigint,
    CONSTRAINT batch_check CHECK ((batch_id >= number)),
    CONSTRAINT batch_check1 CHECK ((last_position >= first_position)),
    CONSTRAINT batch_event_count_check CHECK ((event_count >= 0)),
    CONSTRAINT batch_kind_check CHECK ((kind = ANY (ARRAY['genesis'::text, 'cut'::text, 'moved'::text, 'reissue'::text, 'era'::text]))),
    CONSTRAINT batch_number_check CHECK ((number >= 0))
)
PARTITION BY RANGE (number);

ALTER TABLE outbox.batch OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.batch IS 'The ledger. batch_id is the first part of the entry ids on the streams.';

COMMENT ON COLUMN outbox.batch.layouts IS 'How many layouts were laid when it was cut. Null: the relay knew nothing of partitions.';

CREATE TABLE outbox.batch_from_0 (
    number bigint NOT NULL,
    batch_id bigint NOT NULL,
    kind text DEFAULT 'cut'::text NOT NULL,
    era integer NOT NULL,
    epoch bigint NOT NULL,
    snapshot pg_snapshot NOT NULL,
    event_count bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    cut_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    layouts bigint,
    CONSTRAINT batch_check CHECK ((batch_id >= number)),
    CONSTRAINT batch_check1 CHECK ((last_position >= first_position)),
    CONSTRAINT batch_event_count_check CHECK ((event_count >= 0)),
    CONSTRAINT batch_kind_check CHECK ((kind = ANY (ARRAY['genesis'::text, 'cut'::text, 'moved'::text, 'reissue'::text, 'era'::text]))),
    CONSTRAINT batch_number_check CHECK ((number >= 0))
);

ALTER TABLE outbox.batch_from_0 OWNER TO outbox_maintainer;

CREATE TABLE outbox.batch_from_1835008 (
    number bigint NOT NULL,
    batch_id bigint NOT NULL,
    kind text DEFAULT 'cut'::text NOT NULL,
    era integer NOT NULL,
    epoch bigint NOT NULL,
    snapshot pg_snapshot NOT NULL,
    event_count bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    cut_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    layouts bigint,
    CONSTRAINT batch_check CHECK ((batch_id >= number)),
    CONSTRAINT batch_check1 CHECK ((last_position >= first_position)),
    CONSTRAINT batch_event_count_check CHECK ((event_count >= 0)),
    CONSTRAINT batch_kind_check CHECK ((kind = ANY (ARRAY['genesis'::text, 'cut'::text, 'moved'::text, 'reissue'::text, 'era'::text]))),
    CONSTRAINT batch_number_check CHECK ((number >= 0))
);

ALTER TABLE outbox.batch_from_1835008 OWNER TO outbox_maintainer;

CREATE TABLE outbox.batch_from_262144 (
    number bigint NOT NULL,
    batch_id bigint NOT NULL,
    kind text DEFAULT 'cut'::text NOT NULL,
    era integer NOT NULL,
    epoch bigint NOT NULL,
    snapshot pg_snapshot NOT NULL,
    event_count bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    cut_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    layouts bigint,
    CONSTRAINT batch_check CHECK ((batch_id >= number)),
    CONSTRAINT batch_check1 CHECK ((last_position >= first_position)),
    CONSTRAINT batch_event_count_check CHECK ((event_count >= 0)),
    CONSTRAINT batch_kind_check CHECK ((kind = ANY (ARRAY['genesis'::text, 'cut'::text, 'moved'::text, 'reissue'::text, 'era'::text]))),
    CONSTRAINT batch_number_check CHECK ((number >= 0))
);

ALTER TABLE outbox.batch_from_262144 OWNER TO outbox_maintainer;

CREATE TABLE outbox.batch_from_3932160 (
    number bigint NOT NULL,
    batch_id bigint NOT NULL,
    kind text DEFAULT 'cut'::text NOT NULL,
    era integer NOT NULL,
    epoch bigint NOT NULL,
    snapshot pg_snapshot NOT NULL,
    event_count bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    cut_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    layouts bigint,
    CONSTRAINT batch_check CHECK ((batch_id >= number)),
    CONSTRAINT batch_check1 CHECK ((last_position >= first_position)),
    CONSTRAINT batch_event_count_check CHECK ((event_count >= 0)),
    CONSTRAINT batch_kind_check CHECK ((kind = ANY (ARRAY['genesis'::text, 'cut'::text, 'moved'::text, 'reissue'::text, 'era'::text]))),
    CONSTRAINT batch_number_check CHECK ((number >= 0))
);

ALTER TABLE outbox.batch_from_3932160 OWNER TO outbox_maintainer;

CREATE TABLE outbox.batch_from_786432 (
    number bigint NOT NULL,
    batch_id bigint NOT NULL,
    kind text DEFAULT 'cut'::text NOT NULL,
    era integer NOT NULL,
    epoch bigint NOT NULL,
    snapshot pg_snapshot NOT NULL,
    event_count bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    cut_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    layouts bigint,
    CONSTRAINT batch_check CHECK ((batch_id >= number)),
    CONSTRAINT batch_check1 CHECK ((last_position >= first_position)),
    CONSTRAINT batch_event_count_check CHECK ((event_count >= 0)),
    CONSTRAINT batch_kind_check CHECK ((kind = ANY (ARRAY['genesis'::text, 'cut'::text, 'moved'::text, 'reissue'::text, 'era'::text]))),
    CONSTRAINT batch_number_check CHECK ((number >= 0))
);

ALTER TABLE outbox.batch_from_786432 OWNER TO outbox_maintainer;

CREATE TABLE outbox.category (
    id integer NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT category_name_check CHECK (((octet_length(name) <= 100) AND (name ~ '^[A-Za-z0-9._]+$'::text)))
);

ALTER TABLE outbox.category OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.category IS 'Categories: what the names of streams begin with, up to the first dash.';

ALTER TABLE outbox.category ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.category_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.consumer (
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    paused_at timestamp with time zone,
    paused_by text,
    paused_reason text,
    forgotten_until timestamp with time zone,
    seeks bigint DEFAULT 0 NOT NULL,
    CONSTRAINT consumer_check CHECK ((((paused_at IS NULL) = (paused_by IS NULL)) AND ((paused_at IS NULL) = (paused_reason IS NULL)))),
    CONSTRAINT consumer_name_check CHECK (((name <> ''::text) AND (octet_length(name) <= 200))),
    CONSTRAINT consumer_seeks_check CHECK ((seeks >= 0))
);

ALTER TABLE outbox.consumer OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.consumer IS 'Consumer groups of this database. Paused: nothing of it is applied until a person resumes it.';

CREATE TABLE outbox.consumer_audit (
    number bigint NOT NULL,
    acted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor text DEFAULT SESSION_USER NOT NULL,
    action text NOT NULL,
    consumer text NOT NULL,
    target jsonb DEFAULT '{}'::jsonb NOT NULL,
    reason text NOT NULL,
    CONSTRAINT consumer_audit_reason_check CHECK ((reason <> ''::text))
);

ALTER TABLE outbox.consumer_audit OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.consumer_audit IS 'Every change that a person made to a consumer: who, what, why. Append-only.';

ALTER TABLE outbox.consumer_audit ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.consumer_audit_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.consumer_failure (
    consumer text NOT NULL,
    stream text NOT NULL,
    entry_id text NOT NULL,
    attempts integer NOT NULL,
    first_failed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    failed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retry_at timestamp with time zone NOT NULL,
    error_class text NOT NULL,
    error text NOT NULL,
    CONSTRAINT consumer_failure_attempts_check CHECK ((attempts > 0))
);

ALTER TABLE outbox.consumer_failure OWNER TO outbox_maintainer;

CREATE TABLE outbox.consumer_lease (
    consumer text NOT NULL,
    stream text NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    holder text,
    acquired_at timestamp with time zone,
    expires_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT consumer_lease_consumer_check CHECK (((consumer <> ''::text) AND (octet_length(consumer) <= 200))),
    CONSTRAINT consumer_lease_epoch_check CHECK ((epoch >= 0)),
    CONSTRAINT consumer_lease_stream_check CHECK (((stream <> ''::text) AND (octet_length(stream) <= 1024)))
)
WITH (fillfactor='50');

ALTER TABLE outbox.consumer_lease OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.consumer_lease IS 'One row per consumer group and stream. Each change of hands raises the epoch; an epoch never falls.';

CREATE TABLE outbox.consumer_member (
    consumer text NOT NULL,
    member text NOT NULL,
    host text NOT NULL,
    process_id integer NOT NULL,
    version text NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    topics text[] DEFAULT '{}'::text[] NOT NULL,
    partitions integer[]
)
WITH (fillfactor='50');

ALTER TABLE outbox.consumer_member OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.consumer_member IS 'Processes of consumer groups, by when they were last seen.';

CREATE TABLE outbox.consumer_stream (
    consumer text NOT NULL,
    stream text NOT NULL,
    passed_batch numeric(20,0) NOT NULL,
    passed_position numeric(20,0) NOT NULL,
    moved_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    replayed_batch numeric(20,0),
    replayed_position numeric(20,0),
    prelude text,
    CONSTRAINT consumer_stream_passed_batch_check CHECK ((passed_batch >= (0)::numeric)),
    CONSTRAINT consumer_stream_passed_position_check CHECK ((passed_position >= (0)::numeric)),
    CONSTRAINT consumer_stream_replayed_batch_check CHECK ((replayed_batch >= (0)::numeric)),
    CONSTRAINT consumer_stream_replayed_check CHECK (((replayed_batch IS NULL) = (replayed_position IS NULL))),
    CONSTRAINT consumer_stream_replayed_position_check CHECK ((replayed_position >= (0)::numeric))
)
WITH (fillfactor='10');

ALTER TABLE outbox.consumer_stream OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.consumer_stream IS 'How far a consumer group came on a stream: everything at or before this entry is finished. Only rises.';

ALTER TABLE outbox.dead_letter ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.dead_letter_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.era (
    era integer NOT NULL,
    system_identifier bigint NOT NULL,
    timeline integer NOT NULL,
    position_floor bigint NOT NULL,
    opened_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    batch_number bigint DEFAULT 0 NOT NULL,
    batch_id bigint DEFAULT 0 NOT NULL,
    cut_through bigint DEFAULT 0 NOT NULL,
    guarded boolean DEFAULT true NOT NULL,
    CONSTRAINT era_era_check CHECK ((era > 0))
);

ALTER TABLE outbox.era OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.era IS 'Stretches of history of one physical database, with the row of the ledger that each began with. Rows up to position_floor were appended before it.';

COMMENT ON COLUMN outbox.era.guarded IS 'Whether only relays that know eras may lead from here on.';

CREATE TABLE outbox.era_share (
    batch_number bigint NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    passed_snapshots pg_snapshot[] NOT NULL,
    passed_positions bigint[] NOT NULL,
    CONSTRAINT era_share_check CHECK ((cardinality(passed_snapshots) = cardinality(passed_positions)))
);

ALTER TABLE outbox.era_share OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.era_share IS 'How the rows of an era''s first shares are told. Append-only.';

COMMENT ON COLUMN outbox.era_share.partition IS '0: the stream without a number; n + 1: partition n.';

CREATE TABLE outbox.era_start (
    batch_number bigint NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    first_position bigint NOT NULL,
    kept_batch_id bigint NOT NULL,
    kept_position bigint NOT NULL
);

ALTER TABLE outbox.era_start OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.era_start IS 'Behind which entry each stream went on with an era, where that was not the end of what its ledger had put there. Append-only.';

COMMENT ON COLUMN outbox.era_start.partition IS '0: the stream without a number; n + 1: partition n.';

CREATE TABLE outbox.event_tag (
    "position" bigint NOT NULL,
    transaction_id xid8 NOT NULL,
    tag text NOT NULL COLLATE pg_catalog."C",
    type text NOT NULL COLLATE pg_catalog."C"
);

ALTER TABLE outbox.event_tag OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.event_tag IS 'The tags of stored events, those in the archive included. Rows come and go with their event, by trigger.';

CREATE TABLE outbox.parked_event (
    consumer text NOT NULL,
    flow text NOT NULL,
    lane text NOT NULL,
    place bigint DEFAULT nextval('outbox.parked_place'::regclass) NOT NULL,
    stream text NOT NULL,
    entry_id text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    type text NOT NULL,
    schema_version text,
    key text,
    recorded_at timestamp with time zone,
    entry_fields bytea[] NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    history jsonb DEFAULT '[]'::jsonb NOT NULL,
    first_failed_at timestamp with time zone,
    dead_letter bigint,
    parked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT parked_event_attempts_check CHECK ((attempts >= 0))
);

ALTER TABLE outbox.parked_event OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.parked_event IS 'Events that wait in their lane: in outbox.inbox their outcome is parked until they are applied or given up.';

CREATE VIEW outbox.held_lane AS
 SELECT l.consumer,
    l.flow,
    l.lane,
    holder.number AS dead_letter,
    ( SELECT count(*) AS count
           FROM outbox.parked_event e
          WHERE ((e.consumer = l.consumer) AND (e.flow = l.flow) AND (e.lane = l.lane))) AS events
   FROM (outbox.parked_lane l
     CROSS JOIN LATERAL ( SELECT d.number
           FROM outbox.dead_letter d
          WHERE (((d.consumer = l.consumer) AND (d.flow = l.flow) AND (d.lane = l.lane)) AND (d.state = 'dead'::text) AND (d.error_kind <> ALL (ARRAY['unreadable'::text, 'too_old'::text])))
          ORDER BY d.dead_at DESC, d.number DESC
         LIMIT 1) holder)
  WHERE (l.state = 'dead'::text);

ALTER TABLE outbox.held_lane OWNER TO outbox_maintainer;

CREATE TABLE outbox.hole (
    topic text NOT NULL,
    partition integer NOT NULL,
    group_name text NOT NULL,
    stream text NOT NULL,
    epoch bigint NOT NULL,
    missing text NOT NULL,
    held text NOT NULL,
    passed text,
    since timestamp with time zone NOT NULL,
    state text NOT NULL,
    reason text,
    batch_number bigint,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT hole_state_check CHECK ((state = ANY (ARRAY['asked'::text, 'reissued'::text, 'closing'::text, 'refused'::text])))
)
WITH (fillfactor='50');

ALTER TABLE outbox.hole OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.hole IS 'Entries that a group holds because the one before them is missing, and what the leading relay makes of it.';

COMMENT ON COLUMN outbox.hole.partition IS '0: the stream without a number; n + 1: partition n.';

CREATE TABLE outbox.hole_pass (
    number bigint NOT NULL,
    consumer text NOT NULL,
    stream text NOT NULL,
    entry_id text NOT NULL,
    reason text NOT NULL,
    actor text DEFAULT SESSION_USER NOT NULL,
    acted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT hole_pass_entry_id_check CHECK (((entry_id ~ '^(0|[1-9][0-9]{0,19})-(0|[1-9][0-9]{0,19})$'::text) AND ('18446744073709551615'::numeric >= ALL ((string_to_array(entry_id, '-'::text))::numeric[])))),
    CONSTRAINT hole_pass_reason_check CHECK ((reason <> ''::text))
);

ALTER TABLE outbox.hole_pass OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.hole_pass IS 'Entries that a person lets pass although their predecessor is missing: what was between is given up for this consumer. Append-only.';

ALTER TABLE outbox.hole_pass ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.hole_pass_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.inbox (
    consumer text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    outcome text NOT NULL,
    stream text NOT NULL,
    entry_id text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    history jsonb,
    CONSTRAINT inbox_outcome_check CHECK ((outcome = ANY (ARRAY['applied'::text, 'dead'::text, 'parked'::text, 'skipped'::text])))
)
PARTITION BY RANGE (recorded_at);

ALTER TABLE outbox.inbox OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.inbox IS 'Finished events by consumer, source and id. Old days are dropped whole (outbox.inbox_settings.keep).';

CREATE TABLE outbox.inbox_foreign (
    consumer text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    outcome text NOT NULL,
    stream text NOT NULL,
    entry_id text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    recorded_at timestamp with time zone,
    history jsonb,
    CONSTRAINT inbox_foreign_outcome_check CHECK ((outcome = ANY (ARRAY['applied'::text, 'dead'::text, 'parked'::text, 'skipped'::text])))
);

ALTER TABLE outbox.inbox_foreign OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.inbox_foreign IS 'Finished events that have no day of their own: they do not say when they were recorded, or it was more than a year ago, or is still to come. recorded_at: when, where that is past.';

CREATE TABLE outbox.inbox_keyed (
    consumer text NOT NULL,
    topic text NOT NULL,
    identity bytea NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    entered_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    came_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT inbox_keyed_check CHECK ((expires_at > entered_at)),
    CONSTRAINT inbox_keyed_identity_check CHECK ((octet_length(identity) = 32))
);

ALTER TABLE outbox.inbox_keyed OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.inbox_keyed IS 'Which event stands for an identity (a correlation id, a content) of a topic, until when.';

CREATE TABLE outbox.inbox_migration (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);

CREATE TABLE outbox.inbox_settings (
    only_row boolean DEFAULT true NOT NULL,
    keep interval DEFAULT '30 days'::interval,
    redrive_age interval DEFAULT '14 days'::interval NOT NULL,
    republish_window interval DEFAULT '7 days'::interval NOT NULL,
    forced_reason text,
    forced_by text,
    forced_at timestamp with time zone,
    CONSTRAINT inbox_settings_forced_check CHECK ((((forced_reason IS NULL) = (forced_by IS NULL)) AND ((forced_reason IS NULL) = (forced_at IS NULL)))),
    CONSTRAINT inbox_settings_forced_reason_check CHECK ((forced_reason <> ''::text)),
    CONSTRAINT inbox_settings_keep_check CHECK ((keep >= '1 day'::interval)),
    CONSTRAINT inbox_settings_only_row_check CHECK (only_row),
    CONSTRAINT inbox_settings_redrive_age_check CHECK ((redrive_age >= '00:00:00'::interval)),
    CONSTRAINT inbox_settings_republish_window_check CHECK ((republish_window >= '00:00:00'::interval))
);

ALTER TABLE outbox.inbox_settings OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.inbox_settings IS 'One row. keep: how long the ids of finished events are remembered, counted from when they were recorded and from when they were applied, whichever is later; null keeps them for ever. They are kept at least as long as an event can come again (outbox_ops.inbox_window), unless forced: see outbox.set_inbox_keep.';

CREATE TABLE outbox.lease (
    name text NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    holder text,
    acquired_at timestamp with time zone,
    expires_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT lease_epoch_check CHECK ((epoch >= 0))
)
WITH (fillfactor='50');

ALTER TABLE outbox.lease OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.lease IS 'One row per right. Each change of hands raises the epoch; an epoch never falls.';

CREATE SEQUENCE outbox.log_position
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER TABLE outbox.log_position OWNER TO outbox_maintainer;

CREATE TABLE outbox.log (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
)
PARTITION BY LIST (retention);

ALTER TABLE outbox.log OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.log IS 'Every event, in the order of position. Append through outbox.append; nobody updates or deletes.';

CREATE TABLE outbox.log_archive (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_archive OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_audit (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
)
PARTITION BY RANGE ("position");

ALTER TABLE outbox.log_audit OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_audit_from_1 (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_audit_from_1 OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_audit_from_1048577 (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_audit_from_1048577 OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_audit_from_15728641 (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_audit_from_15728641 OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_audit_from_3145729 (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_audit_from_3145729 OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_audit_from_7340033 (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_audit_from_7340033 OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_durable (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_durable OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_migration (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);

CREATE TABLE outbox.log_standard (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
)
PARTITION BY RANGE ("position");

ALTER TABLE outbox.log_standard OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_standard_from_1 (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_standard_from_1 OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_standard_from_16515073 (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_standard_from_16515073 OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_standard_from_1835009 (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_standard_from_1835009 OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_standard_from_262145 (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_standard_from_262145 OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_standard_from_33292289 (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_standard_from_33292289 OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_standard_from_3932161 (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_standard_from_3932161 OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_standard_from_66846721 (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_standard_from_66846721 OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_standard_from_786433 (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_standard_from_786433 OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_standard_from_8126465 (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text NOT NULL,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint,
    version bigint,
    category integer,
    tags text[]
);

ALTER TABLE outbox.log_standard_from_8126465 OWNER TO outbox_maintainer;

CREATE TABLE outbox.log_stream (
    "position" bigint DEFAULT nextval('outbox.log_position'::regclass) NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retention text NOT NULL,
    topic text,
    key text,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text,
    "time" timestamp with time zone,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    data text,
    data_binary bytea,
    stream bigint NOT NULL,
    version bigint NOT NULL,
    category integer NOT NULL,
    tags text[]
);

ALTER TABLE outbox.log_stream OWNER TO outbox_maintainer;

CREATE TABLE outbox.loss (
    number bigint NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    stream text NOT NULL,
    after_entry text NOT NULL,
    through_entry text NOT NULL,
    events bigint NOT NULL,
    why text NOT NULL,
    missed_by text[] NOT NULL,
    epoch bigint NOT NULL,
    found_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT loss_events_check CHECK ((events >= 0)),
    CONSTRAINT loss_why_check CHECK ((why = ANY (ARRAY['log'::text, 'generation'::text, 'accepted'::text, 'removed'::text])))
);

ALTER TABLE outbox.loss OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.loss IS 'Ranges that a stream lost at the sink and that cannot be put out again. Append-only.';

COMMENT ON COLUMN outbox.loss.partition IS '0: the stream without a number; n + 1: partition n.';

ALTER TABLE outbox.loss ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.loss_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.master_key (
    name text NOT NULL,
    first_used_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retired_at timestamp with time zone,
    retired_by text,
    reason text,
    CONSTRAINT master_key_name_check CHECK (((octet_length(name) >= 1) AND (octet_length(name) <= 200))),
    CONSTRAINT master_key_reason_check CHECK ((reason <> ''::text)),
    CONSTRAINT retired_by_somebody CHECK ((((retired_at IS NULL) = (retired_by IS NULL)) AND ((retired_at IS NULL) = (reason IS NULL))))
);

ALTER TABLE outbox.master_key OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.master_key IS 'Names of master keys that wrapped keys of subjects, and when each was retired: from then on it wraps none.';

CREATE TABLE outbox.misnamed_topic (
    topic text NOT NULL,
    event_count bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT misnamed_topic_check CHECK ((last_position >= first_position)),
    CONSTRAINT misnamed_topic_event_count_check CHECK ((event_count > 0))
);

ALTER TABLE outbox.misnamed_topic OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.misnamed_topic IS 'Events inserted into the log by hand whose topic is no name: they are published nowhere. One row per topic, with the positions.';

CREATE TABLE outbox.operation (
    number bigint NOT NULL,
    kind text NOT NULL,
    consumer text NOT NULL,
    filter jsonb DEFAULT '{}'::jsonb NOT NULL,
    reason text NOT NULL,
    actor text DEFAULT SESSION_USER NOT NULL,
    rate double precision,
    state text DEFAULT 'running'::text NOT NULL,
    total bigint NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    resumed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    released_until timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT operation_kind_check CHECK ((kind = ANY (ARRAY['redrive'::text, 'discard'::text, 'seek'::text]))),
    CONSTRAINT operation_rate_check CHECK ((rate > (0)::double precision)),
    CONSTRAINT operation_reason_check CHECK ((reason <> ''::text)),
    CONSTRAINT operation_state_check CHECK ((state = ANY (ARRAY['running'::text, 'cancelled'::text, 'finished'::text]))),
    CONSTRAINT operation_total_check CHECK ((total >= 0))
);

ALTER TABLE outbox.operation OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.operation IS 'What operators asked for, with its progress in outbox.operation_item. A crash of whoever asked or carries out changes nothing: it goes on.';

CREATE TABLE outbox.operation_item (
    operation bigint NOT NULL,
    place bigint NOT NULL,
    dead_letter bigint NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    in_line boolean DEFAULT false NOT NULL,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT operation_item_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'released'::text, 'applied'::text, 'dead'::text, 'dropped'::text])))
);

ALTER TABLE outbox.operation_item OWNER TO outbox_maintainer;

ALTER TABLE outbox.operation ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.operation_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE VIEW outbox.outgoing AS
 SELECT NULL::uuid AS id,
    NULL::text AS topic,
    NULL::text AS key,
    NULL::text AS type,
    NULL::text AS source,
    NULL::text AS subject,
    NULL::timestamp with time zone AS "time",
    NULL::text AS data_content_type,
    NULL::text AS data_schema,
    NULL::text AS schema_version,
    NULL::text AS correlation_id,
    NULL::text AS causation_id,
    NULL::text AS traceparent,
    NULL::text AS tracestate,
    NULL::json AS extensions,
    NULL::json AS data,
    NULL::bytea AS data_binary
  WHERE false;

ALTER TABLE outbox.outgoing OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox.outgoing IS 'Insert here to append an event; the same as outbox.append. Always empty.';

CREATE VIEW outbox.outgoing_if_plain AS
 SELECT NULL::uuid AS id,
    NULL::text AS topic,
    NULL::text AS key,
    NULL::text AS type,
    NULL::text AS source,
    NULL::text AS schema_version,
    NULL::text AS correlation_id,
    NULL::text AS causation_id,
    NULL::text AS traceparent,
    NULL::text AS tracestate,
    NULL::json AS data
  WHERE false;

ALTER TABLE outbox.outgoing_if_plain OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox.outgoing_if_plain IS 'For libraries. Appends an event with an id and a JSON payload, of a topic that is kept as standard, and with short texts; of any other it inserts nothing, and that is no error: look at the number of rows, and insert into outbox.outgoing if there is none. Always empty.';

CREATE TABLE outbox.parked_stream (
    subscription text NOT NULL,
    generation integer NOT NULL,
    partition integer NOT NULL,
    stream bigint NOT NULL,
    version bigint NOT NULL,
    state text NOT NULL,
    attempts integer NOT NULL,
    first_failed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    failed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    retry_at timestamp with time zone NOT NULL,
    error_class text NOT NULL,
    error text NOT NULL,
    CONSTRAINT parked_stream_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT parked_stream_state_check CHECK ((state = ANY (ARRAY['retrying'::text, 'parked'::text]))),
    CONSTRAINT parked_stream_version_check CHECK ((version > 0))
);

ALTER TABLE outbox.parked_stream OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.parked_stream IS 'Streams that wait, for the next attempt (retrying) or for a person (parked). error may hold what the handler said; the view outbox_ops.parked_streams leaves it out.';

CREATE VIEW outbox.piece AS
 SELECT (parent.relname)::text AS parent,
    (child.relname)::text AS name,
    (NULLIF("substring"(pg_get_expr(child.relpartbound, child.oid), 'FROM \(''?(MINVALUE|[0-9]+)''?\)'::text), 'MINVALUE'::text))::bigint AS lower_bound,
    (NULLIF("substring"(pg_get_expr(child.relpartbound, child.oid), 'TO \(''?(MAXVALUE|[0-9]+)''?\)'::text), 'MAXVALUE'::text))::bigint AS upper_bound,
    pg_inherits.inhdetachpending AS detach_pending
   FROM ((pg_inherits
     JOIN pg_class child ON ((child.oid = pg_inherits.inhrelid)))
     JOIN pg_class parent ON ((parent.oid = pg_inherits.inhparent)))
  WHERE ((parent.relnamespace = ('outbox'::regnamespace)::oid) AND (pg_get_expr(child.relpartbound, child.oid) ~~ 'FOR VALUES FROM%'::text));

ALTER TABLE outbox.piece OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox.piece IS 'Pieces of the partitioned tables with their bounds, lower inclusive, upper exclusive, null for open.';

CREATE SEQUENCE outbox.progress_number
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER TABLE outbox.progress_number OWNER TO outbox_maintainer;

CREATE TABLE outbox.progress (
    number bigint DEFAULT nextval('outbox.progress_number'::regclass) NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    batch_number bigint NOT NULL,
    "position" bigint NOT NULL,
    chain_batch_id bigint NOT NULL,
    chain_position bigint NOT NULL,
    epoch bigint NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
PARTITION BY RANGE (number);

ALTER TABLE outbox.progress OWNER TO outbox_maintainer;

COMMENT ON COLUMN outbox.progress.partition IS '0: the stream without a number; n + 1: partition n.';

CREATE TABLE outbox.progress_from_0 (
    number bigint DEFAULT nextval('outbox.progress_number'::regclass) NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    batch_number bigint NOT NULL,
    "position" bigint NOT NULL,
    chain_batch_id bigint NOT NULL,
    chain_position bigint NOT NULL,
    epoch bigint NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE outbox.progress_from_0 OWNER TO outbox_maintainer;

CREATE TABLE outbox.progress_from_1835008 (
    number bigint DEFAULT nextval('outbox.progress_number'::regclass) NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    batch_number bigint NOT NULL,
    "position" bigint NOT NULL,
    chain_batch_id bigint NOT NULL,
    chain_position bigint NOT NULL,
    epoch bigint NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE outbox.progress_from_1835008 OWNER TO outbox_maintainer;

CREATE TABLE outbox.progress_from_262144 (
    number bigint DEFAULT nextval('outbox.progress_number'::regclass) NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    batch_number bigint NOT NULL,
    "position" bigint NOT NULL,
    chain_batch_id bigint NOT NULL,
    chain_position bigint NOT NULL,
    epoch bigint NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE outbox.progress_from_262144 OWNER TO outbox_maintainer;

CREATE TABLE outbox.progress_from_3932160 (
    number bigint DEFAULT nextval('outbox.progress_number'::regclass) NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    batch_number bigint NOT NULL,
    "position" bigint NOT NULL,
    chain_batch_id bigint NOT NULL,
    chain_position bigint NOT NULL,
    epoch bigint NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE outbox.progress_from_3932160 OWNER TO outbox_maintainer;

CREATE TABLE outbox.progress_from_786432 (
    number bigint DEFAULT nextval('outbox.progress_number'::regclass) NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    batch_number bigint NOT NULL,
    "position" bigint NOT NULL,
    chain_batch_id bigint NOT NULL,
    chain_position bigint NOT NULL,
    epoch bigint NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE outbox.progress_from_786432 OWNER TO outbox_maintainer;

CREATE TABLE outbox.projection (
    name text NOT NULL,
    kind text NOT NULL,
    generation integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT projection_generation_check CHECK ((generation > 0)),
    CONSTRAINT projection_kind_check CHECK ((kind = ANY (ARRAY['inline'::text, 'asynchronous'::text]))),
    CONSTRAINT projection_name_check CHECK (((name ~ '^[a-z][a-z0-9_]{0,49}$'::text) AND (name !~ '^pg_'::text) AND (name <> ALL (ARRAY['outbox'::text, 'outbox_ops'::text, 'public'::text, 'information_schema'::text]))))
);

ALTER TABLE outbox.projection OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.projection IS 'Projections. Who makes, switches or drops something of one holds its row.';

CREATE TABLE outbox.projection_rebuild (
    number bigint NOT NULL,
    projection text NOT NULL,
    generation integer NOT NULL,
    state text NOT NULL,
    accept_differences boolean NOT NULL,
    reason text NOT NULL,
    actor text DEFAULT SESSION_USER NOT NULL,
    ordered_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    said text,
    CONSTRAINT projection_rebuild_reason_check CHECK ((reason <> ''::text)),
    CONSTRAINT projection_rebuild_state_check CHECK ((state = ANY (ARRAY['ordered'::text, 'building'::text, 'held'::text, 'switched'::text, 'cancelled'::text])))
);

ALTER TABLE outbox.projection_rebuild OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.projection_rebuild IS 'Projections built anew, and by whom. A command only writes the order: the process that has the code carries it out.';

ALTER TABLE outbox.projection_rebuild ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.projection_rebuild_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.recovery (
    number bigint NOT NULL,
    strategy text NOT NULL,
    reason text NOT NULL,
    actor text DEFAULT SESSION_USER NOT NULL,
    state text DEFAULT 'begun'::text NOT NULL,
    era integer,
    found jsonb NOT NULL,
    begun_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    opened_at timestamp with time zone,
    done_at timestamp with time zone,
    removing_at timestamp with time zone,
    abandoned_at timestamp with time zone,
    abandoned_by text,
    abandoned_because text,
    CONSTRAINT recovery_abandoned_by_somebody CHECK (((state = 'abandoned'::text) = ((abandoned_at IS NOT NULL) AND (abandoned_by IS NOT NULL) AND (abandoned_because <> ''::text)))),
    CONSTRAINT recovery_reason_check CHECK ((reason <> ''::text)),
    CONSTRAINT recovery_state_check CHECK ((state = ANY (ARRAY['begun'::text, 'opened'::text, 'done'::text, 'abandoned'::text]))),
    CONSTRAINT recovery_strategy_check CHECK ((strategy = ANY (ARRAY['continue'::text, 'trust-database'::text, 'trust-stream'::text, 'republish'::text])))
);

ALTER TABLE outbox.recovery OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.recovery IS 'Audit of outbox-relay recover apply: who chose what and why, what was seen on both sides, and how far it came.';

ALTER TABLE outbox.recovery ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.recovery_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.refusal (
    number bigint NOT NULL,
    code text NOT NULL,
    said text NOT NULL,
    epoch bigint NOT NULL,
    refused_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    closed_at timestamp with time zone,
    recovery bigint,
    CONSTRAINT refusal_check CHECK (((closed_at IS NULL) = (recovery IS NULL))),
    CONSTRAINT refusal_code_check CHECK ((code <> ''::text))
);

ALTER TABLE outbox.refusal OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.refusal IS 'What a relay found at the sink that is not of this ledger. While one is open no relay of this database leads; outbox-relay recover apply closes it.';

ALTER TABLE outbox.refusal ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.refusal_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.reissue (
    batch_number bigint NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    kept_batch_id bigint NOT NULL,
    kept_position bigint NOT NULL,
    kept_number bigint NOT NULL,
    base pg_snapshot NOT NULL,
    base_number bigint NOT NULL,
    passed_snapshots pg_snapshot[] NOT NULL,
    passed_positions bigint[] NOT NULL,
    missing text NOT NULL,
    asked_by text NOT NULL,
    cut_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    removed bigint NOT NULL,
    CONSTRAINT reissue_check CHECK ((kept_number < batch_number)),
    CONSTRAINT reissue_check1 CHECK ((base_number <= kept_number)),
    CONSTRAINT reissue_check2 CHECK ((cardinality(passed_snapshots) = cardinality(passed_positions))),
    CONSTRAINT reissue_removed_check CHECK ((removed >= 0))
);

ALTER TABLE outbox.reissue OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.reissue IS 'One row per re-issue: which entry of which stream was kept, and which rows of the log its share has. Append-only.';

COMMENT ON COLUMN outbox.reissue.partition IS '0: the stream without a number; n + 1: partition n.';

CREATE TABLE outbox.reissue_order (
    number bigint NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    from_batch_id bigint NOT NULL,
    from_position bigint NOT NULL,
    to_batch_id bigint,
    to_position bigint,
    is_preview boolean NOT NULL,
    reason text NOT NULL,
    actor text DEFAULT SESSION_USER NOT NULL,
    ordered_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    answer text,
    kept text,
    wanted bigint,
    events bigint,
    batch_number bigint,
    answered_at timestamp with time zone,
    removed bigint,
    CONSTRAINT reissue_order_from_batch_id_check CHECK ((from_batch_id >= 0)),
    CONSTRAINT reissue_order_from_position_check CHECK ((from_position >= 0)),
    CONSTRAINT reissue_order_reason_check CHECK ((reason <> ''::text)),
    CONSTRAINT reissue_order_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'possible'::text, 'done'::text, 'refused'::text])))
);

ALTER TABLE outbox.reissue_order OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.reissue_order IS 'Audit of re-issues that people asked for: who, when, why, and what became of it. Previews are among them.';

COMMENT ON COLUMN outbox.reissue_order.partition IS '0: the stream without a number; n + 1: partition n.';

ALTER TABLE outbox.reissue_order ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.reissue_order_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.relay (
    instance text NOT NULL,
    host text NOT NULL,
    process_id integer NOT NULL,
    version text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    state text NOT NULL,
    reason text
)
WITH (fillfactor='50');

ALTER TABLE outbox.relay OWNER TO outbox_maintainer;

CREATE TABLE outbox.removed (
    topic text NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    transaction_id xid8 NOT NULL,
    key_number bigint NOT NULL,
    era integer NOT NULL,
    removed_by xid8 DEFAULT pg_current_xact_id() NOT NULL,
    CONSTRAINT removed_check CHECK ((last_position >= first_position))
);

ALTER TABLE outbox.removed OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.removed IS 'Positions of events of a topic that were removed by outbox.truncate_stream and outbox.tombstone_stream, as ranges: what is missing there was not lost. Append-only.';

CREATE TABLE outbox.retention_class (
    name text NOT NULL,
    keep interval,
    CONSTRAINT retention_class_keep_check CHECK ((keep > '00:00:00'::interval)),
    CONSTRAINT retention_class_name_check CHECK ((name ~ '^[a-z][a-z0-9_]{0,30}$'::text))
);

ALTER TABLE outbox.retention_class OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.retention_class IS 'How long events are kept after they were recorded; null keeps them for ever. Space comes back by dropping whole pieces of the log.';

CREATE TABLE outbox.route (
    category text NOT NULL,
    type text DEFAULT ''::text NOT NULL,
    topic text,
    CONSTRAINT route_category_check CHECK (((octet_length(category) <= 100) AND (category ~ '^[A-Za-z0-9._]+$'::text))),
    CONSTRAINT route_topic_check CHECK (((octet_length(topic) <= 200) AND (topic ~ '^[A-Za-z0-9._-]+$'::text))),
    CONSTRAINT route_type_check CHECK (((octet_length(type) <= 200) AND (type ~ '^[A-Za-z0-9._-]*$'::text)))
);

ALTER TABLE outbox.route OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.route IS 'The topic of stored events that name none: that of their category and type, else of their category, else none: they stay private.';

CREATE TABLE outbox.settings (
    only_row boolean DEFAULT true NOT NULL,
    database_id uuid DEFAULT gen_random_uuid() NOT NULL,
    source text DEFAULT ('/'::text || (current_database())::text) NOT NULL,
    writer text,
    payload_limit_bytes integer DEFAULT 262144 NOT NULL,
    CONSTRAINT settings_only_row_check CHECK (only_row),
    CONSTRAINT settings_payload_limit_bytes_check CHECK (((payload_limit_bytes >= 1) AND (payload_limit_bytes <= 16777216))),
    CONSTRAINT settings_source_check CHECK ((source <> ''::text)),
    CONSTRAINT settings_writer_check CHECK ((writer ~ '^[A-Za-z0-9._-]{1,100}$'::text))
);

ALTER TABLE outbox.settings OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.settings IS 'One row. database_id names this database at the sink; source is the default CloudEvents source; writer separates several writing databases of one topic; payload_limit_bytes bounds one payload (16 MiB is the hard stop).';

CREATE TABLE outbox.share (
    batch_number bigint NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    event_count bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    first_new_position bigint,
    CONSTRAINT share_check CHECK ((last_position >= first_position)),
    CONSTRAINT share_event_count_check CHECK ((event_count > 0))
)
PARTITION BY RANGE (batch_number);

ALTER TABLE outbox.share OWNER TO outbox_maintainer;

COMMENT ON COLUMN outbox.share.partition IS '0: the stream without a number; n + 1: partition n.';

COMMENT ON COLUMN outbox.share.first_position IS '0, and so the last: no event, but the entry that says that the topic moved on.';

CREATE TABLE outbox.share_from_0 (
    batch_number bigint NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    event_count bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    first_new_position bigint,
    CONSTRAINT share_check CHECK ((last_position >= first_position)),
    CONSTRAINT share_event_count_check CHECK ((event_count > 0))
);

ALTER TABLE outbox.share_from_0 OWNER TO outbox_maintainer;

CREATE TABLE outbox.share_from_1835008 (
    batch_number bigint NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    event_count bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    first_new_position bigint,
    CONSTRAINT share_check CHECK ((last_position >= first_position)),
    CONSTRAINT share_event_count_check CHECK ((event_count > 0))
);

ALTER TABLE outbox.share_from_1835008 OWNER TO outbox_maintainer;

CREATE TABLE outbox.share_from_262144 (
    batch_number bigint NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    event_count bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    first_new_position bigint,
    CONSTRAINT share_check CHECK ((last_position >= first_position)),
    CONSTRAINT share_event_count_check CHECK ((event_count > 0))
);

ALTER TABLE outbox.share_from_262144 OWNER TO outbox_maintainer;

CREATE TABLE outbox.share_from_3932160 (
    batch_number bigint NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    event_count bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    first_new_position bigint,
    CONSTRAINT share_check CHECK ((last_position >= first_position)),
    CONSTRAINT share_event_count_check CHECK ((event_count > 0))
);

ALTER TABLE outbox.share_from_3932160 OWNER TO outbox_maintainer;

CREATE TABLE outbox.share_from_786432 (
    batch_number bigint NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    event_count bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    first_new_position bigint,
    CONSTRAINT share_check CHECK ((last_position >= first_position)),
    CONSTRAINT share_event_count_check CHECK ((event_count > 0))
);

ALTER TABLE outbox.share_from_786432 OWNER TO outbox_maintainer;

CREATE TABLE outbox.stream (
    id bigint NOT NULL,
    category integer NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT stream_name_check CHECK (((octet_length(name) <= 400) AND (name ~ '^[A-Za-z0-9._]+-[^\u0001-\u0020\u007f]+$'::text)))
);

ALTER TABLE outbox.stream OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.stream IS 'Streams of the event store: `<category>-<id>`. Nothing changes here; what people did to a stream is in outbox.stream_step.';

CREATE VIEW outbox.stored_event AS
 SELECT l."position",
    l.transaction_id,
    l.recorded_at,
    l.stream AS stream_id,
    ( SELECT s.name
           FROM outbox.stream s
          WHERE (s.id = l.stream)) AS stream,
    l.category AS category_id,
    l.version,
    l.id,
    l.source,
    l.type,
    l.subject,
    l."time",
    l.data_content_type,
    l.data_schema,
    l.schema_version,
    l.correlation_id,
    l.causation_id,
    l.traceparent,
    l.tracestate,
    l.extensions,
    l.tags,
    l.topic,
    l.data,
    l.data_binary,
    (l.retention = 'archive'::text) AS archived
   FROM outbox.log l
  WHERE ((l.retention = ANY (ARRAY['stream'::text, 'archive'::text])) AND (l.stream IS NOT NULL));

ALTER TABLE outbox.stored_event OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox.stored_event IS 'The events of streams, those in the archive included.';

ALTER TABLE outbox.stream_action ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.stream_action_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.stream_group (
    number bigint NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    name text NOT NULL,
    action text NOT NULL,
    delivered text,
    reason text NOT NULL,
    actor text DEFAULT SESSION_USER NOT NULL,
    acted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT stream_group_action_check CHECK ((action = ANY (ARRAY['registered'::text, 'forgotten'::text]))),
    CONSTRAINT stream_group_name_check CHECK ((name <> ''::text)),
    CONSTRAINT stream_group_reason_check CHECK ((reason <> ''::text))
);

ALTER TABLE outbox.stream_group OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.stream_group IS 'Consumer groups that a stream waits for before it is trimmed, with who registered or forgot them and why. Append-only: the latest row of a group is its state.';

COMMENT ON COLUMN outbox.stream_group.partition IS '0: the stream without a number; n + 1: partition n.';

ALTER TABLE outbox.stream_group ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.stream_group_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE outbox.stream ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.stream_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.stream_mark (
    consumer text NOT NULL,
    stream text NOT NULL,
    retention_seconds bigint,
    published_batch numeric(20,0) NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT stream_mark_published_batch_check CHECK ((published_batch >= (0)::numeric)),
    CONSTRAINT stream_mark_retention_seconds_check CHECK ((retention_seconds >= 0))
)
WITH (fillfactor='50');

ALTER TABLE outbox.stream_mark OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.stream_mark IS 'How long each stream keeps its entries, and how far it was published, by when a consumer last looked.';

CREATE TABLE outbox.stream_setting (
    topic text NOT NULL,
    retention interval DEFAULT '7 days'::interval,
    cap bigint,
    CONSTRAINT stream_setting_cap_check CHECK ((cap > 0)),
    CONSTRAINT stream_setting_retention_check CHECK ((retention >= '00:00:01'::interval)),
    CONSTRAINT stream_setting_topic_check CHECK (((topic = '*'::text) OR (topic ~ '^[A-Za-z0-9._-]{1,200}$'::text)))
);

ALTER TABLE outbox.stream_setting OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.stream_setting IS 'How long entries stay on a topic''s streams at least, counted from when their batch was cut (null: for ever), and the hard cap on the length of each (null: none; more entries than that are taken off, read or not). Topic * is the default.';

CREATE TABLE outbox.topic (
    name text NOT NULL,
    retention text DEFAULT 'standard'::text NOT NULL,
    partitions integer DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT topic_is_of_no_stream CHECK ((retention <> ALL (ARRAY['stream'::text, 'archive'::text]))),
    CONSTRAINT topic_name_check CHECK ((name ~ '^[A-Za-z0-9._-]{1,200}$'::text)),
    CONSTRAINT topic_partitions_check CHECK (((partitions >= 1) AND (partitions <= 1024)))
);

ALTER TABLE outbox.topic OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.topic IS 'Topics seen so far and their retention class. A change of class holds for events appended afterwards.';

CREATE VIEW outbox.stream_rule AS
 SELECT topic.name AS topic,
    setting.retention,
    setting.cap
   FROM (outbox.topic topic
     CROSS JOIN LATERAL ( SELECT s.retention,
            s.cap
           FROM outbox.stream_setting s
          WHERE (s.topic = ANY (ARRAY[topic.name, '*'::text]))
          ORDER BY (s.topic = '*'::text)
         LIMIT 1) setting);

ALTER TABLE outbox.stream_rule OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox.stream_rule IS 'What holds for each topic''s streams: its own row of outbox.stream_setting, or that of *.';

CREATE TABLE outbox.stream_seen (
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    stream text NOT NULL,
    epoch bigint NOT NULL,
    length bigint NOT NULL,
    memory_bytes bigint,
    first_entry text,
    last_entry text,
    groups jsonb DEFAULT '[]'::jsonb NOT NULL,
    held_by text,
    held_since timestamp with time zone,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (fillfactor='50');

ALTER TABLE outbox.stream_seen OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.stream_seen IS 'One row per stream: what the leading relay saw at the sink when it last looked, and which group keeps entries there that are old enough to go.';

COMMENT ON COLUMN outbox.stream_seen.partition IS '0: the stream without a number; n + 1: partition n.';

CREATE TABLE outbox.stream_snapshot (
    stream bigint NOT NULL,
    shape text NOT NULL,
    shape_version integer NOT NULL,
    begins bigint NOT NULL,
    version bigint NOT NULL,
    event uuid NOT NULL,
    state text NOT NULL,
    digest bytea NOT NULL,
    made_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT stream_snapshot_begins_check CHECK ((begins > 0)),
    CONSTRAINT stream_snapshot_check CHECK ((version >= begins)),
    CONSTRAINT stream_snapshot_shape_check CHECK (((octet_length(shape) >= 1) AND (octet_length(shape) <= 200))),
    CONSTRAINT stream_snapshot_shape_version_check CHECK ((shape_version > 0)),
    CONSTRAINT stream_snapshot_state_check CHECK ((octet_length(state) <= 1048576))
)
WITH (fillfactor='70');

ALTER TABLE outbox.stream_snapshot OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.stream_snapshot IS 'States of aggregates, to begin loading at. Never needed for what is right: rows may be deleted at any time.';

CREATE TABLE outbox.stream_step (
    number bigint NOT NULL,
    stream bigint NOT NULL,
    action text NOT NULL,
    through bigint NOT NULL,
    events bigint NOT NULL,
    reason text NOT NULL,
    actor text DEFAULT SESSION_USER NOT NULL,
    acted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    CONSTRAINT stream_step_action_check CHECK ((action = ANY (ARRAY['archive'::text, 'restore'::text, 'truncate'::text, 'tombstone'::text]))),
    CONSTRAINT stream_step_events_check CHECK ((events >= 0)),
    CONSTRAINT stream_step_reason_check CHECK ((reason <> ''::text)),
    CONSTRAINT stream_step_through_check CHECK ((through >= 0))
);

ALTER TABLE outbox.stream_step OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.stream_step IS 'Audit of streams archived, restored, truncated or tombstoned: append-only, and the only way for their rows to leave.';

ALTER TABLE outbox.stream_step ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.stream_step_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.subject_key (
    id uuid NOT NULL,
    subject text,
    wrapped_key bytea,
    master_key text NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    destroyed_at timestamp with time zone,
    CONSTRAINT all_of_it_or_nothing CHECK ((((subject IS NULL) = (wrapped_key IS NULL)) AND ((wrapped_key IS NULL) = (destroyed_at IS NOT NULL)))),
    CONSTRAINT subject_key_master_key_check CHECK (((octet_length(master_key) >= 1) AND (octet_length(master_key) <= 200))),
    CONSTRAINT subject_key_subject_check CHECK (((octet_length(subject) >= 1) AND (octet_length(subject) <= 400))),
    CONSTRAINT subject_key_wrapped_key_check CHECK (((octet_length(wrapped_key) >= 1) AND (octet_length(wrapped_key) <= 1024)))
);

ALTER TABLE outbox.subject_key OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.subject_key IS 'Keys of subjects, wrapped. A destroyed one keeps its id and nothing else.';

CREATE TABLE outbox.subject_step (
    number bigint NOT NULL,
    key_id uuid NOT NULL,
    action text NOT NULL,
    reason text NOT NULL,
    actor text DEFAULT SESSION_USER NOT NULL,
    acted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT subject_step_action_check CHECK ((action = ANY (ARRAY['destroy'::text, 'rewrap'::text]))),
    CONSTRAINT subject_step_reason_check CHECK ((reason <> ''::text))
);

ALTER TABLE outbox.subject_step OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.subject_step IS 'Audit of keys destroyed and wrapped anew, without the subject: append-only.';

ALTER TABLE outbox.subject_step ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.subject_step_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.subscription (
    name text NOT NULL,
    generation integer NOT NULL,
    partitions integer NOT NULL,
    categories text[],
    types text[],
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    paused_at timestamp with time zone,
    paused_by text,
    paused_reason text,
    CONSTRAINT subscription_check CHECK ((((paused_at IS NULL) = (paused_by IS NULL)) AND ((paused_at IS NULL) = (paused_reason IS NULL)))),
    CONSTRAINT subscription_generation_check CHECK ((generation > 0)),
    CONSTRAINT subscription_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9._-]{0,99}$'::text)),
    CONSTRAINT subscription_partitions_check CHECK (((partitions >= 1) AND (partitions <= 256)))
);

ALTER TABLE outbox.subscription OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.subscription IS 'Named readers of stored events. What one reads never changes: other categories, types or partitions are another name, or another generation.';

CREATE TABLE outbox.subscription_action (
    number bigint NOT NULL,
    subscription text NOT NULL,
    generation integer NOT NULL,
    action text NOT NULL,
    stream text,
    version bigint,
    reason text NOT NULL,
    actor text DEFAULT SESSION_USER NOT NULL,
    acted_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT subscription_action_action_check CHECK ((action = ANY (ARRAY['pause'::text, 'resume'::text, 'retry'::text, 'skip'::text]))),
    CONSTRAINT subscription_action_reason_check CHECK ((reason <> ''::text))
);

ALTER TABLE outbox.subscription_action OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.subscription_action IS 'Audit of what people did to subscriptions. Append-only.';

ALTER TABLE outbox.subscription_action ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.subscription_action_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.subscription_checkpoint (
    subscription text NOT NULL,
    generation integer NOT NULL,
    partition integer NOT NULL,
    era integer DEFAULT 1 NOT NULL,
    done pg_snapshot DEFAULT '3:3:'::pg_snapshot NOT NULL,
    done_floor bigint DEFAULT 0 NOT NULL,
    done_through bigint DEFAULT 0 NOT NULL,
    goal pg_snapshot,
    goal_floor bigint,
    goal_through bigint,
    after_position bigint DEFAULT 0 NOT NULL,
    drawn bigint DEFAULT 0 NOT NULL,
    events bigint DEFAULT 0 NOT NULL,
    last_recorded_at timestamp with time zone,
    moved_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT subscription_checkpoint_check CHECK ((((goal IS NULL) = (goal_through IS NULL)) AND ((goal IS NULL) = (goal_floor IS NULL)))),
    CONSTRAINT subscription_checkpoint_events_check CHECK ((events >= 0))
)
WITH (fillfactor='20');

ALTER TABLE outbox.subscription_checkpoint OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.subscription_checkpoint IS 'How far a subscription has come, written in the transaction of its handler.';

CREATE TABLE outbox.subscription_lease (
    subscription text NOT NULL,
    generation integer NOT NULL,
    partition integer NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    holder text,
    acquired_at timestamp with time zone,
    expires_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT subscription_lease_epoch_check CHECK ((epoch >= 0))
)
WITH (fillfactor='50');

ALTER TABLE outbox.subscription_lease OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.subscription_lease IS 'One row per subscription and partition. Each change of hands raises the epoch.';

CREATE TABLE outbox.subscription_member (
    subscription text NOT NULL,
    generation integer NOT NULL,
    member text NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (fillfactor='50');

ALTER TABLE outbox.subscription_member OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.subscription_member IS 'Processes that run a subscription.';

CREATE TABLE outbox.tag_gate (
    row_exists boolean NOT NULL,
    CONSTRAINT tag_gate_check CHECK (false)
);

ALTER TABLE outbox.tag_gate OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.tag_gate IS 'Empty, and no row can be. Its lock stands for all tags at once.';

CREATE TABLE outbox.timeline (
    era integer NOT NULL,
    timeline integer NOT NULL,
    batch_number bigint NOT NULL,
    seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE outbox.timeline OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.timeline IS 'Timelines on which a relay led, and the end of the ledger when it first did. Append-only.';

CREATE TABLE outbox.topic_layout (
    topic text NOT NULL,
    generation integer NOT NULL,
    partitions integer NOT NULL,
    batch_number bigint NOT NULL,
    batch_id bigint NOT NULL,
    moved boolean NOT NULL,
    laid_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT topic_layout_batch_number_check CHECK ((batch_number > 0)),
    CONSTRAINT topic_layout_check CHECK ((batch_id >= batch_number)),
    CONSTRAINT topic_layout_generation_check CHECK ((generation > 0)),
    CONSTRAINT topic_layout_partitions_check CHECK (((partitions >= 2) AND (partitions <= 1024)))
);

ALTER TABLE outbox.topic_layout OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.topic_layout IS 'From which batch on a topic has how many partitions: one row per change, laid by the leading relay. outbox.topic.partitions is what it should have.';

CREATE VIEW outbox.topic_stream AS
 SELECT topic.name AS topic,
    slot.partition,
        CASE slot.partition
            WHEN 0 THEN topic.name
            ELSE ((topic.name || ':'::text) || (slot.partition - 1))
        END AS name
   FROM ((outbox.topic topic
     CROSS JOIN LATERAL ( SELECT max(l.partitions) AS partitions,
            COALESCE(bool_or((NOT l.moved)), false) AS from_the_start
           FROM outbox.topic_layout l
          WHERE (l.topic = topic.name)) laid)
     CROSS JOIN LATERAL generate_series(
        CASE
            WHEN laid.from_the_start THEN 1
            ELSE 0
        END, COALESCE(laid.partitions, 0)) slot(partition));

ALTER TABLE outbox.topic_stream OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox.topic_stream IS 'Every stream of every topic, with its name at the sink but for prefix and writer; partition as the ledger keeps it: 0 without a number, n + 1 for partition n.';

CREATE TABLE outbox.trim_floor (
    number bigint NOT NULL,
    topic text NOT NULL,
    partition integer DEFAULT 0 NOT NULL,
    batch_id bigint NOT NULL,
    "position" bigint NOT NULL,
    cause text NOT NULL,
    unread bigint DEFAULT 0 NOT NULL,
    epoch bigint NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT trim_floor_batch_id_check CHECK ((batch_id >= 0)),
    CONSTRAINT trim_floor_cause_check CHECK ((cause = ANY (ARRAY['retention'::text, 'cap'::text, 'lost'::text]))),
    CONSTRAINT trim_floor_check CHECK (((unread >= 0) AND ((unread = 0) OR (cause = 'cap'::text)))),
    CONSTRAINT trim_floor_position_check CHECK (("position" >= 0))
);

ALTER TABLE outbox.trim_floor OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.trim_floor IS 'How far each stream was trimmed: entries with a lower id may be gone. Append-only; the highest counts.';

COMMENT ON COLUMN outbox.trim_floor.partition IS '0: the stream without a number; n + 1: partition n.';

ALTER TABLE outbox.trim_floor ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME outbox.trim_floor_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE outbox.unknown_entry (
    stream text NOT NULL,
    batch_id bigint NOT NULL,
    "position" bigint NOT NULL,
    recovery bigint NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    event_id text,
    names text[] NOT NULL,
    contents bytea[] NOT NULL,
    fate text NOT NULL,
    kept_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT unknown_entry_check CHECK ((cardinality(names) = cardinality(contents))),
    CONSTRAINT unknown_entry_fate_check CHECK ((fate = ANY (ARRAY['removed'::text, 'accepted'::text])))
);

ALTER TABLE outbox.unknown_entry OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.unknown_entry IS 'Entries that streams held and this database did not know when it went back in time: kept whole, with payload.';

COMMENT ON COLUMN outbox.unknown_entry.partition IS '0: the stream without a number; n + 1: partition n.';

CREATE TABLE outbox.unpublished (
    "position" bigint NOT NULL,
    topic text NOT NULL,
    id uuid NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    key text,
    event jsonb NOT NULL,
    reason text NOT NULL,
    actor text DEFAULT SESSION_USER NOT NULL,
    skipped_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE outbox.unpublished OWNER TO outbox_maintainer;

COMMENT ON TABLE outbox.unpublished IS 'The dead letters of the relay: events skipped by hand because the sink will never take them.';

CREATE VIEW outbox_ops.audit AS
 SELECT a.number,
    a.acted_at,
    a.actor,
    a.action,
    a.consumer,
        CASE
            WHEN outbox.may_see_keys() THEN a.target
            ELSE (a.target #- '{filter,key}'::text[])
        END AS target,
    a.reason
   FROM outbox.consumer_audit a;

ALTER TABLE outbox_ops.audit OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.audit IS 'Every change that a person made to a consumer. Append-only.';

COMMENT ON COLUMN outbox_ops.audit.number IS 'Order of the changes.';

COMMENT ON COLUMN outbox_ops.audit.acted_at IS 'When.';

COMMENT ON COLUMN outbox_ops.audit.actor IS 'Login that did it.';

COMMENT ON COLUMN outbox_ops.audit.action IS 'What: `redrive`, `cancel`, `resume`, `edit`, `discard` and others.';

COMMENT ON COLUMN outbox_ops.audit.consumer IS 'Consumer group.';

COMMENT ON COLUMN outbox_ops.audit.target IS 'What it was done to.';

COMMENT ON COLUMN outbox_ops.audit.reason IS 'Why.';

CREATE VIEW outbox_ops.backlog AS
 SELECT waiting.topic,
    GREATEST((waiting.partition - 1), 0) AS partition,
    waiting.events,
    waiting.exact,
    waiting.oldest_recorded_at,
    (clock_timestamp() - waiting.oldest_recorded_at) AS oldest_age,
        CASE waiting.partition
            WHEN 0 THEN waiting.topic
            ELSE ((waiting.topic || ':'::text) || (waiting.partition - 1))
        END AS stream
   FROM outbox.backlog() waiting(topic, partition, events, exact, oldest_recorded_at);

ALTER TABLE outbox_ops.backlog OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.backlog IS 'Streams that have events to publish, cut into batches or not; a stream without any has no row.';

COMMENT ON COLUMN outbox_ops.backlog.topic IS 'Topic.';

COMMENT ON COLUMN outbox_ops.backlog.partition IS 'Partition of the topic; 0 also for the stream without a number.';

COMMENT ON COLUMN outbox_ops.backlog.events IS 'Committed events that are not on the stream yet.';

COMMENT ON COLUMN outbox_ops.backlog.exact IS 'False when events is an estimate: a share is half published, or more than 10,000 events are in no batch yet and it is a lower bound.';

COMMENT ON COLUMN outbox_ops.backlog.oldest_recorded_at IS 'When the oldest of them was appended; for a share half published, when its last published event was.';

COMMENT ON COLUMN outbox_ops.backlog.oldest_age IS 'How long ago that was.';

COMMENT ON COLUMN outbox_ops.backlog.stream IS 'The stream''s key at the sink, without prefix and writer.';

CREATE VIEW outbox_ops.batches AS
 SELECT batch.number,
    batch.batch_id,
    batch.kind,
    batch.era,
    batch.epoch,
    batch.event_count,
    batch.first_position,
    batch.last_position,
    batch.cut_at
   FROM outbox.batch
  WHERE (batch.number > 0)
  ORDER BY batch.number DESC
 LIMIT 1000;

ALTER TABLE outbox_ops.batches OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.batches IS 'The newest thousand batches, newest first.';

COMMENT ON COLUMN outbox_ops.batches.number IS 'Place in the chain, without gaps.';

COMMENT ON COLUMN outbox_ops.batches.batch_id IS 'First part of the ids of its entries on the streams.';

COMMENT ON COLUMN outbox_ops.batches.kind IS '`cut` from the log; `moved`: a topic has more partitions from here on; `reissue`; or `era`: a person opened a new era, and everything that was on no stream yet is in it.';

COMMENT ON COLUMN outbox_ops.batches.era IS 'Stretch of history of one physical database.';

COMMENT ON COLUMN outbox_ops.batches.epoch IS 'Epoch of the leader that cut it.';

COMMENT ON COLUMN outbox_ops.batches.event_count IS 'Events in it.';

COMMENT ON COLUMN outbox_ops.batches.first_position IS 'Lowest position in it.';

COMMENT ON COLUMN outbox_ops.batches.last_position IS 'Highest position in it; positions between the two may belong to other batches.';

COMMENT ON COLUMN outbox_ops.batches.cut_at IS 'When it was cut.';

CREATE VIEW outbox_ops.causes AS
 SELECT causes.cause,
    causes.severity,
    causes.subject,
    causes.since,
    causes.reason
   FROM outbox.causes() causes(cause, severity, subject, since, reason);

ALTER TABLE outbox_ops.causes OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.causes IS 'Why something stands still or will, one row for each cause; none when all is well.';

COMMENT ON COLUMN outbox_ops.causes.cause IS '`refused`, `waiting` (a relay), `no_lease`, `piece_missing`, `set_aside`, `blocked`, `lost` (a stream), `transaction`.';

COMMENT ON COLUMN outbox_ops.causes.severity IS '`stalled`: nothing moves, or appends are refused; `degraded`: some of it waits; `note`: somebody holds back what is their own.';

COMMENT ON COLUMN outbox_ops.causes.subject IS 'The relay, lease, table, stream or process (or prepared transaction) that it is about.';

COMMENT ON COLUMN outbox_ops.causes.since IS 'Since when, where that is known; of a relay, when it was last seen.';

COMMENT ON COLUMN outbox_ops.causes.reason IS 'What was seen, and what to do.';

CREATE VIEW outbox_ops.inbox AS
 SELECT lease.consumer,
    lease.stream,
    lease.holder,
    lease.epoch,
        CASE
            WHEN (lease.expires_at > clock_timestamp()) THEN 'held'::text
            ELSE 'free'::text
        END AS lease,
    lease.acquired_at,
    lease.expires_at,
    (((progress.passed_batch)::text || '-'::text) || (progress.passed_position)::text) AS passed_entry,
    progress.moved_at,
    (( SELECT count(*) AS count
           FROM outbox.consumer_failure f
          WHERE ((f.consumer = lease.consumer) AND (f.stream = lease.stream))) + ( SELECT count(*) AS count
           FROM outbox.parked_lane l
          WHERE ((l.consumer = lease.consumer) AND (l.stream = lease.stream) AND (l.state = 'retrying'::text)))) AS failing,
    LEAST(( SELECT min(f.first_failed_at) AS min
           FROM outbox.consumer_failure f
          WHERE ((f.consumer = lease.consumer) AND (f.stream = lease.stream))), ( SELECT min(l.parked_at) AS min
           FROM outbox.parked_lane l
          WHERE ((l.consumer = lease.consumer) AND (l.stream = lease.stream) AND (l.state = 'retrying'::text)))) AS failing_since,
    ( SELECT count(*) AS count
           FROM outbox.dead_letter d
          WHERE ((d.consumer = lease.consumer) AND (d.stream = lease.stream) AND (d.state = 'dead'::text))) AS dead_letters
   FROM (outbox.consumer_lease lease
     LEFT JOIN outbox.consumer_stream progress USING (consumer, stream));

ALTER TABLE outbox_ops.inbox OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.inbox IS 'One row per consumer group and stream: who applies it, how far it came, what fails.';

CREATE VIEW outbox_ops.consumer_partitions AS
 SELECT i.consumer,
    i.stream,
    i.holder,
    i.epoch,
    i.lease,
    i.expires_at,
    i.passed_entry,
    i.moved_at,
    waiting.parked_keys,
    waiting.parked_events,
    waiting.due_keys,
    i.dead_letters
   FROM (outbox_ops.inbox i
     CROSS JOIN LATERAL ( SELECT count(*) AS parked_keys,
            (COALESCE(sum(( SELECT count(*) AS count
                   FROM outbox.parked_event e
                  WHERE ((e.consumer = l.consumer) AND (e.flow = l.flow) AND (e.lane = l.lane)))), (0)::numeric))::bigint AS parked_events,
            count(*) FILTER (WHERE (l.due_at <= clock_timestamp())) AS due_keys
           FROM outbox.parked_lane l
          WHERE ((l.consumer = i.consumer) AND (l.stream = i.stream))) waiting);

ALTER TABLE outbox_ops.consumer_partitions OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.consumer_partitions IS 'One row per consumer group and stream: who applies it, how far it came, what waits.';

COMMENT ON COLUMN outbox_ops.consumer_partitions.consumer IS 'Consumer group.';

COMMENT ON COLUMN outbox_ops.consumer_partitions.stream IS 'Stream; a topic of several partitions has one for each.';

COMMENT ON COLUMN outbox_ops.consumer_partitions.holder IS 'Member that applies it, or did last.';

COMMENT ON COLUMN outbox_ops.consumer_partitions.epoch IS 'Rises with each change of hands.';

COMMENT ON COLUMN outbox_ops.consumer_partitions.lease IS '`held` or `free`.';

COMMENT ON COLUMN outbox_ops.consumer_partitions.expires_at IS 'Until when it is held, if it is not renewed.';

COMMENT ON COLUMN outbox_ops.consumer_partitions.passed_entry IS 'Entry last passed: it and everything before it is finished.';

COMMENT ON COLUMN outbox_ops.consumer_partitions.moved_at IS 'When that moved.';

COMMENT ON COLUMN outbox_ops.consumer_partitions.parked_keys IS 'Keys that wait, and events without key that do.';

COMMENT ON COLUMN outbox_ops.consumer_partitions.parked_events IS 'Events that wait in them.';

COMMENT ON COLUMN outbox_ops.consumer_partitions.due_keys IS 'Those whose time to be tried has come.';

COMMENT ON COLUMN outbox_ops.consumer_partitions.dead_letters IS 'Dead letters that wait for a person.';

CREATE VIEW outbox_ops.consumers AS
 SELECT c.name AS consumer,
        CASE
            WHEN (c.paused_at IS NOT NULL) THEN 'paused'::text
            WHEN (streams.held > 0) THEN 'applying'::text
            ELSE 'stopped'::text
        END AS state,
    ( SELECT count(*) AS count
           FROM outbox.consumer_member m
          WHERE ((m.consumer = c.name) AND (m.seen_at > (clock_timestamp() - '00:00:30'::interval)))) AS members,
    streams.streams,
    streams.held AS held_streams,
    lanes.parked_keys,
    ( SELECT count(*) AS count
           FROM outbox.parked_event e
          WHERE (e.consumer = c.name)) AS parked_events,
    lanes.retrying_keys,
    letters.dead_letters,
    letters.oldest_dead_at,
    ( SELECT count(*) AS count
           FROM outbox.operation o
          WHERE ((o.consumer = c.name) AND (o.state = 'running'::text))) AS running_operations,
    c.paused_at,
    c.paused_by,
    c.paused_reason,
    c.forgotten_until,
    c.created_at
   FROM (((outbox.consumer c
     CROSS JOIN LATERAL ( SELECT count(*) AS streams,
            count(*) FILTER (WHERE (l.expires_at > clock_timestamp())) AS held
           FROM outbox.consumer_lease l
          WHERE (l.consumer = c.name)) streams)
     CROSS JOIN LATERAL ( SELECT count(*) AS parked_keys,
            count(*) FILTER (WHERE (l.state = 'retrying'::text)) AS retrying_keys
           FROM outbox.parked_lane l
          WHERE (l.consumer = c.name)) lanes)
     CROSS JOIN LATERAL ( SELECT count(*) AS dead_letters,
            min(d.dead_at) AS oldest_dead_at
           FROM outbox.dead_letter d
          WHERE ((d.consumer = c.name) AND (d.state = 'dead'::text))) letters);

ALTER TABLE outbox_ops.consumers OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.consumers IS 'One row per consumer group: whether it applies, and what of it waits.';

COMMENT ON COLUMN outbox_ops.consumers.consumer IS 'Consumer group.';

COMMENT ON COLUMN outbox_ops.consumers.state IS '`applying`; `paused` by a person; `stopped`: no member holds a stream.';

COMMENT ON COLUMN outbox_ops.consumers.members IS 'Members seen within 30 seconds.';

COMMENT ON COLUMN outbox_ops.consumers.streams IS 'Streams that it has applied.';

COMMENT ON COLUMN outbox_ops.consumers.held_streams IS 'Streams that a member holds now.';

COMMENT ON COLUMN outbox_ops.consumers.parked_keys IS 'Keys that wait, and events without key that do.';

COMMENT ON COLUMN outbox_ops.consumers.parked_events IS 'Events that wait in them.';

COMMENT ON COLUMN outbox_ops.consumers.retrying_keys IS 'Those of them whose first event failed and is tried again.';

COMMENT ON COLUMN outbox_ops.consumers.dead_letters IS 'Dead letters that wait for a person.';

COMMENT ON COLUMN outbox_ops.consumers.oldest_dead_at IS 'When the oldest of them died.';

COMMENT ON COLUMN outbox_ops.consumers.running_operations IS 'Redrives under way.';

COMMENT ON COLUMN outbox_ops.consumers.paused_at IS 'When a person paused it.';

COMMENT ON COLUMN outbox_ops.consumers.paused_by IS 'Who.';

COMMENT ON COLUMN outbox_ops.consumers.paused_reason IS 'Why.';

COMMENT ON COLUMN outbox_ops.consumers.forgotten_until IS 'Ids of events recorded before this were dropped from the inbox.';

COMMENT ON COLUMN outbox_ops.consumers.created_at IS 'When the group was first seen.';

CREATE VIEW outbox_ops.dead_letter_groups AS
 SELECT d.consumer,
    d.fingerprint,
    min(d.type) AS type,
    min(d.error_class) AS error_class,
    min(d.error_kind) AS error_kind,
    array_agg(DISTINCT d.flow ORDER BY d.flow) AS topics,
    count(*) AS letters,
    count(DISTINCT ROW(d.flow, d.lane)) FILTER (WHERE (d.key IS NOT NULL)) AS keys,
    count(held.dead_letter) AS held_keys,
    (COALESCE(sum(held.events), (0)::numeric))::bigint AS waiting_events,
    count(*) FILTER (WHERE (d.redrives > 0)) AS redriven_before,
    count(d.edited_at) AS edited,
    min(d.dead_at) AS first_dead_at,
    max(d.dead_at) AS last_dead_at,
    min(d.number) AS first_number,
    max(d.number) AS last_number
   FROM (outbox.dead_letter d
     LEFT JOIN outbox.held_lane held ON ((((held.consumer = d.consumer) AND (held.flow = d.flow) AND (held.lane = d.lane)) AND (held.dead_letter = d.number))))
  WHERE (d.state = 'dead'::text)
  GROUP BY d.consumer, d.fingerprint;

ALTER TABLE outbox_ops.dead_letter_groups OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.dead_letter_groups IS 'Dead letters that wait for a person, by what went wrong: type, class of error, and its text without numbers, ids and quoted words.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.consumer IS 'Consumer group.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.fingerprint IS 'Names the group; the same in every consumer and at any time.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.type IS 'Type of the events; null when they could not be read.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.error_class IS 'Class of the error: an SQLSTATE, or a word such as `handler`, `panic`, `timeout`, `unreadable`.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.error_kind IS '`transient`: out of attempts; `poison`: the handler said that trying again is useless; `unreadable`: no event; `too_old`: nobody can say whether it had its effect.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.topics IS 'Topics of the events.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.letters IS 'Dead letters.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.keys IS 'Keys of theirs.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.held_keys IS 'Keys that wait for one of these letters.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.waiting_events IS 'Later events of those keys, which wait too.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.redriven_before IS 'Letters that were put back before and died again.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.edited IS 'Letters whose data was edited.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.first_dead_at IS 'When the first of them died.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.last_dead_at IS 'When the last of them died.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.first_number IS 'Lowest number of a letter, to look at one.';

COMMENT ON COLUMN outbox_ops.dead_letter_groups.last_number IS 'Highest number of a letter.';

CREATE VIEW outbox_ops.dead_letters AS
 SELECT d.number,
    d.consumer,
    d.stream,
    d.entry_id,
    d.source,
    d.id,
    d.type,
        CASE
            WHEN outbox.may_see_keys() THEN d.key
            ELSE NULL::text
        END AS key,
    d.recorded_at,
    d.error_class,
    d.attempts,
    d.first_failed_at,
    d.dead_at,
    d.state,
    d.flow AS topic,
    d.error_kind,
    d.fingerprint,
    d.schema_version,
    d.redrives,
    d.edited_at,
    d.edited_by,
    d.changed_at,
    (held.dead_letter IS NOT NULL) AS holds_key,
    COALESCE(held.events, (0)::bigint) AS waiting_events,
    ( SELECT max(i.operation) AS max
           FROM outbox.operation_item i
          WHERE (i.dead_letter = d.number)) AS last_operation
   FROM (outbox.dead_letter d
     LEFT JOIN outbox.held_lane held ON ((((held.consumer = d.consumer) AND (held.flow = d.flow) AND (held.lane = d.lane)) AND (held.dead_letter = d.number))));

ALTER TABLE outbox_ops.dead_letters OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.dead_letters IS 'What consumers gave up. The payload and what the handler said are in outbox.dead_letter.';

CREATE VIEW outbox_ops.event_streams AS
 SELECT
        CASE
            WHEN has_table_privilege('outbox.stream'::text, 'select'::text) THEN s.name
            ELSE NULL::text
        END AS stream,
    c.name AS category,
    COALESCE(newest.version, outbox.version_of(s.id)) AS version,
    COALESCE(oldest.version, (0)::bigint) AS first_version,
    s.created_at,
    newest.recorded_at AS last_recorded_at,
    ( SELECT max(step.through) AS max
           FROM outbox.stream_step step
          WHERE ((step.stream = s.id) AND (step.action = 'archive'::text))) AS archived_through,
    ( SELECT max(step.through) AS max
           FROM outbox.stream_step step
          WHERE ((step.stream = s.id) AND (step.action = ANY (ARRAY['truncate'::text, 'tombstone'::text])))) AS removed_through,
    (EXISTS ( SELECT
           FROM outbox.stream_step step
          WHERE ((step.stream = s.id) AND (step.action = 'tombstone'::text)))) AS is_buried
   FROM (((outbox.stream s
     JOIN outbox.category c ON ((c.id = s.category)))
     LEFT JOIN LATERAL ( SELECT e.version,
            e.recorded_at
           FROM outbox.stored_event e
          WHERE (e.stream_id = s.id)
          ORDER BY e.version DESC
         LIMIT 1) newest ON (true))
     LEFT JOIN LATERAL ( SELECT e.version
           FROM outbox.stored_event e
          WHERE (e.stream_id = s.id)
          ORDER BY e.version
         LIMIT 1) oldest ON (true));

ALTER TABLE outbox_ops.event_streams OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.event_streams IS 'The streams of the event store. Ask by category, and with a limit.';

COMMENT ON COLUMN outbox_ops.event_streams.stream IS 'Its name; null for who may not see keys (outbox_reader may).';

COMMENT ON COLUMN outbox_ops.event_streams.category IS 'What the name begins with.';

COMMENT ON COLUMN outbox_ops.event_streams.version IS 'Version of its last event; 0: it has none.';

COMMENT ON COLUMN outbox_ops.event_streams.first_version IS 'Version of the first event that is still there; 0: none is.';

COMMENT ON COLUMN outbox_ops.event_streams.created_at IS 'When its first append began.';

COMMENT ON COLUMN outbox_ops.event_streams.last_recorded_at IS 'When its last event was recorded.';

COMMENT ON COLUMN outbox_ops.event_streams.archived_through IS 'Up to which version it was archived at some time; null: never.';

COMMENT ON COLUMN outbox_ops.event_streams.removed_through IS 'Up to which version its events were removed for good; null: none was.';

COMMENT ON COLUMN outbox_ops.event_streams.is_buried IS 'Whether it was given a tombstone: it takes no events any more.';

CREATE VIEW outbox_ops.holes AS
 SELECT hole.topic,
    GREATEST((hole.partition - 1), 0) AS partition,
    hole.stream,
    hole.group_name,
    hole.missing,
    hole.held,
    hole.passed,
    hole.since,
    hole.state,
    hole.reason,
    hole.changed_at,
    reissue.cut_at AS reissued_at,
    share.event_count AS events,
        CASE
            WHEN ((passed.batch_number > reissue.batch_number) OR (passed."position" >= share.last_position)) THEN share.event_count
            WHEN (passed.batch_number = reissue.batch_number) THEN (floor((((share.event_count)::numeric * (((passed."position" - share.first_position) + 1))::numeric) / (((share.last_position - share.first_position) + 1))::numeric)))::bigint
            ELSE (0)::bigint
        END AS published
   FROM (((outbox.hole hole
     LEFT JOIN outbox.reissue reissue ON ((reissue.batch_number = hole.batch_number)))
     LEFT JOIN outbox.share share ON (((share.topic = reissue.topic) AND (share.partition = reissue.partition) AND (share.batch_number = reissue.batch_number))))
     LEFT JOIN LATERAL ( SELECT p.batch_number,
            p."position"
           FROM outbox.progress p
          WHERE ((p.topic = reissue.topic) AND (p.partition = reissue.partition))
          ORDER BY p.batch_number DESC, p."position" DESC
         LIMIT 1) passed ON ((reissue.batch_number IS NOT NULL)));

ALTER TABLE outbox_ops.holes OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.holes IS 'Streams from which a group misses an entry, and how far its repair is.';

COMMENT ON COLUMN outbox_ops.holes.topic IS 'Topic.';

COMMENT ON COLUMN outbox_ops.holes.partition IS 'Partition of the topic; 0 also for the stream without a number.';

COMMENT ON COLUMN outbox_ops.holes.stream IS 'Key of the stream.';

COMMENT ON COLUMN outbox_ops.holes.group_name IS 'The group that asks.';

COMMENT ON COLUMN outbox_ops.holes.missing IS 'The entry it misses.';

COMMENT ON COLUMN outbox_ops.holes.held IS 'The first entry that it holds therefore.';

COMMENT ON COLUMN outbox_ops.holes.passed IS 'The entry it passed last.';

COMMENT ON COLUMN outbox_ops.holes.since IS 'Since when, on the clock of the consumer.';

COMMENT ON COLUMN outbox_ops.holes.state IS '`asked`: the relay looks; `reissued`: what is missing is being put on the stream again, or was; `closing`: it is on the stream; `refused`: the relay cannot help, see reason.';

COMMENT ON COLUMN outbox_ops.holes.reason IS 'Why the relay cannot put it on the stream again, and what to do.';

COMMENT ON COLUMN outbox_ops.holes.changed_at IS 'When the state changed.';

COMMENT ON COLUMN outbox_ops.holes.reissued_at IS 'When the re-issue was cut.';

COMMENT ON COLUMN outbox_ops.holes.events IS 'Events in the re-issue.';

COMMENT ON COLUMN outbox_ops.holes.published IS 'How many of them are on the stream; estimated by position until all are.';

CREATE VIEW outbox_ops.inbox_days AS
 SELECT inbox_days.day,
    inbox_days.estimated_rows,
    inbox_days.bytes,
    inbox_days.kept_until,
    inbox_days.droppable
   FROM outbox.inbox_days() inbox_days(day, name, estimated_rows, bytes, kept_until, droppable);

ALTER TABLE outbox_ops.inbox_days OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.inbox_days IS 'The days of the inbox: how long the ids of applied events are remembered, and what may be dropped.';

CREATE VIEW outbox_ops.inbox_window AS
 SELECT consumer.name AS consumer,
    settings.keep,
    floor.floor,
    floor.reason,
    kept.kept,
        CASE
            WHEN (settings.forced_reason IS NOT NULL) THEN 'forced'::text
            WHEN (NOT (kept.kept IS DISTINCT FROM settings.keep)) THEN 'ok'::text
            ELSE 'raised'::text
        END AS state,
    settings.forced_by,
    settings.forced_at,
    consumer.forgotten_until,
    outbox.inbox_passed_until(consumer.name) AS passed_until,
    needed.since AS needed_since,
    needed.why AS needed_for,
    COALESCE((needed.since < (clock_timestamp() - kept.kept)), false) AS holds
   FROM ((((outbox.consumer consumer
     CROSS JOIN outbox.inbox_settings settings)
     CROSS JOIN outbox.inbox_kept() kept(kept))
     CROSS JOIN LATERAL outbox.inbox_floor(consumer.name) floor(floor, reason))
     CROSS JOIN LATERAL outbox.inbox_needed(consumer.name) needed(consumer, since, why));

ALTER TABLE outbox_ops.inbox_window OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.inbox_window IS 'One row per consumer: how long the ids of its finished events are remembered, and why so long.';

COMMENT ON COLUMN outbox_ops.inbox_window.consumer IS 'Consumer group.';

COMMENT ON COLUMN outbox_ops.inbox_window.keep IS 'What is set; null for ever. One setting for all consumers of the database.';

COMMENT ON COLUMN outbox_ops.inbox_window.floor IS 'The least that is safe for this consumer; null for ever.';

COMMENT ON COLUMN outbox_ops.inbox_window.reason IS 'What makes the floor, in words.';

COMMENT ON COLUMN outbox_ops.inbox_window.kept IS 'How long ids are really kept, all consumers of the database considered; null for ever.';

COMMENT ON COLUMN outbox_ops.inbox_window.state IS 'ok: as set. raised: kept longer than set, because the floor of a consumer is higher. forced: a person set it below the floor.';

COMMENT ON COLUMN outbox_ops.inbox_window.forced_by IS 'Who forced it.';

COMMENT ON COLUMN outbox_ops.inbox_window.forced_at IS 'When it was forced.';

COMMENT ON COLUMN outbox_ops.inbox_window.forgotten_until IS 'Ids recorded before this were dropped: an older event that comes again becomes a dead letter of kind too_old.';

COMMENT ON COLUMN outbox_ops.inbox_window.passed_until IS 'Everything recorded before this is known to be passed; later days are kept, however old. Null when no relay says how far it published.';

COMMENT ON COLUMN outbox_ops.inbox_window.needed_since IS 'The oldest that may still come to it was recorded then: the ids of that day stay, for all consumers of the database, and where it is still to be read those of all later days. Null when nothing is known.';

COMMENT ON COLUMN outbox_ops.inbox_window.needed_for IS 'What that is, in words.';

COMMENT ON COLUMN outbox_ops.inbox_window.holds IS 'Whether days that are older than `kept` stay for it. If it is gone for good: outbox.forget_consumer.';

CREATE VIEW outbox_ops.losses AS
 SELECT loss.topic,
    GREATEST((loss.partition - 1), 0) AS partition,
    loss.stream,
    loss.after_entry,
    loss.through_entry,
    loss.events,
    loss.why,
    loss.missed_by,
    loss.found_at
   FROM outbox.loss loss;

ALTER TABLE outbox_ops.losses OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.losses IS 'Ranges that streams lost at the sink and that cannot be put out again.';

COMMENT ON COLUMN outbox_ops.losses.topic IS 'Topic.';

COMMENT ON COLUMN outbox_ops.losses.partition IS 'Partition of the topic; 0 also for the stream without a number.';

COMMENT ON COLUMN outbox_ops.losses.stream IS 'Key of the stream.';

COMMENT ON COLUMN outbox_ops.losses.after_entry IS 'The range begins behind this entry; 0-0: at the beginning.';

COMMENT ON COLUMN outbox_ops.losses.through_entry IS 'It ends with this entry; what follows is on the stream, or is put out again.';

COMMENT ON COLUMN outbox_ops.losses.events IS 'Events that the ledger cut into it.';

COMMENT ON COLUMN outbox_ops.losses.why IS '`log`: Postgres no longer has all of it; `generation`: it is from before the topic got its partitions, and would come behind the end of those; `accepted`: a recovery with `trust-stream` had left it on the stream, Postgres never had it again, and what it was is in outbox.unknown_entry; `removed`: all of it had been truncated or buried in the event store.';

COMMENT ON COLUMN outbox_ops.losses.missed_by IS 'Groups that the stream waits for and that had not acknowledged all of it, as far as the relay knew; empty: nobody misses it.';

COMMENT ON COLUMN outbox_ops.losses.found_at IS 'When it was found.';

CREATE VIEW outbox_ops.operations AS
 SELECT o.number,
    o.kind,
    o.consumer,
    o.state,
    o.actor,
    o.reason,
        CASE
            WHEN outbox.may_see_keys() THEN o.filter
            ELSE (o.filter - 'key'::text)
        END AS filter,
    o.rate,
    o.total,
    items.waiting,
    items.released,
    items.applied,
    items.dead,
    items.dropped,
    o.created_at,
    o.resumed_at,
    o.finished_at
   FROM (outbox.operation o
     CROSS JOIN LATERAL ( SELECT count(*) FILTER (WHERE (i.state = 'waiting'::text)) AS waiting,
            count(*) FILTER (WHERE (i.state = 'released'::text)) AS released,
            count(*) FILTER (WHERE (i.state = 'applied'::text)) AS applied,
            count(*) FILTER (WHERE (i.state = 'dead'::text)) AS dead,
            count(*) FILTER (WHERE (i.state = 'dropped'::text)) AS dropped
           FROM outbox.operation_item i
          WHERE (i.operation = o.number)) items);

ALTER TABLE outbox_ops.operations OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.operations IS 'One row per thing that an operator asked for, with its progress.';

COMMENT ON COLUMN outbox_ops.operations.number IS 'Number of the operation.';

COMMENT ON COLUMN outbox_ops.operations.kind IS 'What is done.';

COMMENT ON COLUMN outbox_ops.operations.consumer IS 'Consumer group.';

COMMENT ON COLUMN outbox_ops.operations.state IS '`running`; `cancelled`: nothing more is put back until it is resumed; `finished`.';

COMMENT ON COLUMN outbox_ops.operations.actor IS 'Login that asked for it.';

COMMENT ON COLUMN outbox_ops.operations.reason IS 'Why.';

COMMENT ON COLUMN outbox_ops.operations.filter IS 'What was selected, as given.';

COMMENT ON COLUMN outbox_ops.operations.rate IS 'Letters put back per second; null for as fast as they are applied.';

COMMENT ON COLUMN outbox_ops.operations.total IS 'Letters selected.';

COMMENT ON COLUMN outbox_ops.operations.waiting IS 'Letters that are still to be put back.';

COMMENT ON COLUMN outbox_ops.operations.released IS 'Letters that were put back and not applied yet.';

COMMENT ON COLUMN outbox_ops.operations.applied IS 'Letters that had their effect.';

COMMENT ON COLUMN outbox_ops.operations.dead IS 'Letters that died again.';

COMMENT ON COLUMN outbox_ops.operations.dropped IS 'Letters that were no longer dead when their turn came: discarded, or put back by another operation.';

COMMENT ON COLUMN outbox_ops.operations.created_at IS 'When it was asked for.';

COMMENT ON COLUMN outbox_ops.operations.resumed_at IS 'When it was resumed last.';

COMMENT ON COLUMN outbox_ops.operations.finished_at IS 'When the last letter was done.';

CREATE VIEW outbox_ops.parked_keys AS
 SELECT l.consumer,
    l.flow AS topic,
        CASE
            WHEN outbox.may_see_keys() THEN COALESCE(head.key,
            CASE
                WHEN (l.lane ^@ 'k'::text) THEN substr(l.lane, 2)
                ELSE NULL::text
            END)
            ELSE NULL::text
        END AS key,
    l.state,
    l.stream,
    ( SELECT count(*) AS count
           FROM outbox.parked_event e
          WHERE ((e.consumer = l.consumer) AND (e.flow = l.flow) AND (e.lane = l.lane))) AS events,
    NULLIF(l.due_at, 'infinity'::timestamp with time zone) AS due_at,
    l.parked_at,
    l.changed_at,
    held.dead_letter,
    head.id AS first_event,
    head.type AS first_type,
    head.attempts
   FROM ((outbox.parked_lane l
     LEFT JOIN outbox.held_lane held ON (((held.consumer = l.consumer) AND (held.flow = l.flow) AND (held.lane = l.lane))))
     LEFT JOIN LATERAL ( SELECT p.key,
            p.id,
            p.type,
            p.attempts
           FROM outbox.parked_event p
          WHERE ((p.consumer = l.consumer) AND (p.flow = l.flow) AND (p.lane = l.lane))
          ORDER BY p.place
         LIMIT 1) head ON (true));

ALTER TABLE outbox_ops.parked_keys OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.parked_keys IS 'One row per key that waits, and per event without key that does.';

COMMENT ON COLUMN outbox_ops.parked_keys.consumer IS 'Consumer group.';

COMMENT ON COLUMN outbox_ops.parked_keys.topic IS 'Topic, with `@writer` where several databases write it.';

COMMENT ON COLUMN outbox_ops.parked_keys.key IS 'The key; null for an event without one, and for who may not see keys.';

COMMENT ON COLUMN outbox_ops.parked_keys.state IS '`retrying`: the first event failed and is tried again; `waiting_version`: until a member knows its version; `dead`: it waits behind a dead letter; `draining`: going back.';

COMMENT ON COLUMN outbox_ops.parked_keys.stream IS 'Stream whose owner applies what waits.';

COMMENT ON COLUMN outbox_ops.parked_keys.events IS 'Events that wait; the dead letter is not among them.';

COMMENT ON COLUMN outbox_ops.parked_keys.due_at IS 'When the first one is tried next; null when it waits for something else.';

COMMENT ON COLUMN outbox_ops.parked_keys.parked_at IS 'Since when the key waits.';

COMMENT ON COLUMN outbox_ops.parked_keys.changed_at IS 'When that last changed.';

COMMENT ON COLUMN outbox_ops.parked_keys.dead_letter IS 'Number of the dead letter that it waits for.';

COMMENT ON COLUMN outbox_ops.parked_keys.first_event IS 'Id of the first event that waits.';

COMMENT ON COLUMN outbox_ops.parked_keys.first_type IS 'Its type.';

COMMENT ON COLUMN outbox_ops.parked_keys.attempts IS 'Its failed attempts.';

CREATE VIEW outbox_ops.parked_streams AS
 SELECT p.subscription,
    p.generation,
    p.partition,
    p.stream AS stream_id,
        CASE
            WHEN has_table_privilege('outbox.parked_stream'::text, 'select'::text) THEN ( SELECT s.name
               FROM outbox.stream s
              WHERE (s.id = p.stream))
            ELSE NULL::text
        END AS stream,
    p.version,
    p.state,
    p.attempts,
    p.error_class,
    p.first_failed_at,
    p.failed_at,
        CASE
            WHEN (p.state = 'retrying'::text) THEN p.retry_at
            ELSE NULL::timestamp with time zone
        END AS retry_at
   FROM outbox.parked_stream p;

ALTER TABLE outbox_ops.parked_streams OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.parked_streams IS 'Streams that wait for a subscription, at the event that failed. Without what the handler said: outbox.parked_stream has it.';

COMMENT ON COLUMN outbox_ops.parked_streams.subscription IS 'Name of the subscription.';

COMMENT ON COLUMN outbox_ops.parked_streams.generation IS 'Its generation.';

COMMENT ON COLUMN outbox_ops.parked_streams.partition IS 'Its partition.';

COMMENT ON COLUMN outbox_ops.parked_streams.stream_id IS 'Number of the stream.';

COMMENT ON COLUMN outbox_ops.parked_streams.stream IS 'Its name; null for who may not see keys.';

COMMENT ON COLUMN outbox_ops.parked_streams.version IS 'Version of the event that failed; later ones wait behind it.';

COMMENT ON COLUMN outbox_ops.parked_streams.state IS '`retrying`: it is tried again at retry_at; `parked`: a person decides.';

COMMENT ON COLUMN outbox_ops.parked_streams.attempts IS 'How often it failed.';

COMMENT ON COLUMN outbox_ops.parked_streams.error_class IS '`handler`, `panic`, `timeout` or an SQLSTATE.';

COMMENT ON COLUMN outbox_ops.parked_streams.first_failed_at IS 'When it failed first.';

COMMENT ON COLUMN outbox_ops.parked_streams.failed_at IS 'When it failed last.';

COMMENT ON COLUMN outbox_ops.parked_streams.retry_at IS 'When it is tried again.';

CREATE VIEW outbox_ops.projections AS
 SELECT p.name AS projection,
    p.kind,
    p.generation,
        CASE
            WHEN (live.paused_at IS NOT NULL) THEN 'paused'::text
            WHEN (p.kind = 'inline'::text) THEN 'inline'::text
            WHEN (live.name IS NULL) THEN 'waiting'::text
            ELSE 'running'::text
        END AS state,
    COALESCE(lag.events, (0)::bigint) AS lag_events,
    r.number AS rebuild,
    r.state AS rebuild_state,
    r.generation AS rebuild_generation,
    r.reason AS rebuild_reason,
    r.actor AS rebuild_actor,
    r.ordered_at AS rebuild_ordered_at,
    r.finished_at AS rebuild_finished_at,
    next.events AS rebuilt_events,
        CASE
            WHEN (r.state = 'switched'::text) THEN (1)::double precision
            WHEN (next."position" IS NOT NULL) THEN LEAST(((next."position")::double precision / (GREATEST(last.value, (1)::bigint))::double precision), (1)::double precision)
            ELSE NULL::double precision
        END AS rebuilt_share,
        CASE
            WHEN ((r.state = 'building'::text) AND (next.events > 0)) THEN ((next.events)::double precision / GREATEST((EXTRACT(epoch FROM (clock_timestamp() - r.started_at)))::double precision, (0.001)::double precision))
            ELSE NULL::double precision
        END AS rebuilt_per_second,
        CASE
            WHEN ((r.state = 'building'::text) AND (next."position" > 0)) THEN (((EXTRACT(epoch FROM (clock_timestamp() - r.started_at)))::double precision * (GREATEST((last.value - next."position"), (0)::bigint))::double precision) / (next."position")::double precision)
            ELSE NULL::double precision
        END AS rebuild_left_seconds,
    r.said AS rebuild_said
   FROM (((((outbox.projection p
     CROSS JOIN LATERAL ( SELECT
                CASE
                    WHEN log_position.is_called THEN log_position.last_value
                    ELSE (0)::bigint
                END AS value
           FROM outbox.log_position) last)
     LEFT JOIN outbox.subscription live ON (((live.name = p.name) AND (live.generation = p.generation))))
     LEFT JOIN LATERAL outbox.subscription_backlog(live.name, live.generation) lag(events, exact, oldest_recorded_at) ON ((live.name IS NOT NULL)))
     LEFT JOIN LATERAL ( SELECT r_1.number,
            r_1.projection,
            r_1.generation,
            r_1.state,
            r_1.accept_differences,
            r_1.reason,
            r_1.actor,
            r_1.ordered_at,
            r_1.started_at,
            r_1.finished_at,
            r_1.said
           FROM outbox.projection_rebuild r_1
          WHERE (r_1.projection = p.name)
          ORDER BY r_1.number DESC
         LIMIT 1) r ON (true))
     LEFT JOIN LATERAL ( SELECT (sum(c.events))::bigint AS events,
            min(
                CASE
                    WHEN (c.goal IS NULL) THEN c.done_through
                    ELSE GREATEST(c.after_position, c.done_through)
                END) AS "position"
           FROM outbox.subscription_checkpoint c
          WHERE ((c.subscription = p.name) AND (c.generation = r.generation) AND (r.state <> 'cancelled'::text))) next ON (true));

ALTER TABLE outbox_ops.projections OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.projections IS 'Projections, and the newest rebuild of each.';

COMMENT ON COLUMN outbox_ops.projections.projection IS 'Its name, and that of its schema.';

COMMENT ON COLUMN outbox_ops.projections.kind IS '`inline`: applied in the transaction that appends; `asynchronous`: by a subscription.';

COMMENT ON COLUMN outbox_ops.projections.generation IS 'That which is live.';

COMMENT ON COLUMN outbox_ops.projections.state IS '`running`; `inline`; `paused`: by a person; `waiting`: it never ran.';

COMMENT ON COLUMN outbox_ops.projections.lag_events IS 'Events that lie before it, counted up to 10,000 per partition.';

COMMENT ON COLUMN outbox_ops.projections.rebuild IS 'Number of the newest rebuild.';

COMMENT ON COLUMN outbox_ops.projections.rebuild_state IS '`ordered`; `building`; `held`: rebuild_said tells why; `switched`: it is live; `cancelled`.';

COMMENT ON COLUMN outbox_ops.projections.rebuild_generation IS 'The generation that is built.';

COMMENT ON COLUMN outbox_ops.projections.rebuild_reason IS 'Why it was ordered.';

COMMENT ON COLUMN outbox_ops.projections.rebuild_actor IS 'By whom.';

COMMENT ON COLUMN outbox_ops.projections.rebuild_ordered_at IS 'When.';

COMMENT ON COLUMN outbox_ops.projections.rebuild_finished_at IS 'When it became live, or was cancelled.';

COMMENT ON COLUMN outbox_ops.projections.rebuilt_events IS 'Events applied so far.';

COMMENT ON COLUMN outbox_ops.projections.rebuilt_share IS 'How far it is, 0 to 1, by position in the log.';

COMMENT ON COLUMN outbox_ops.projections.rebuilt_per_second IS 'Events per second since it began.';

COMMENT ON COLUMN outbox_ops.projections.rebuild_left_seconds IS 'How long it still takes, at that rate.';

COMMENT ON COLUMN outbox_ops.projections.rebuild_said IS 'What was compared, or why it is held.';

CREATE VIEW outbox_ops.recoveries AS
 SELECT recovery.number,
    recovery.strategy,
    recovery.state,
    recovery.era,
    recovery.reason,
    recovery.actor,
    ( SELECT count(*) AS count
           FROM outbox.unknown_entry e
          WHERE ((e.recovery = recovery.number) AND (e.fate = 'removed'::text))) AS entries_removed,
    ( SELECT count(*) AS count
           FROM outbox.unknown_entry e
          WHERE ((e.recovery = recovery.number) AND (e.fate = 'accepted'::text))) AS entries_accepted,
    recovery.begun_at,
    recovery.opened_at,
    recovery.done_at,
    recovery.removing_at,
    recovery.abandoned_at,
    recovery.abandoned_by,
    recovery.abandoned_because
   FROM outbox.recovery recovery
  ORDER BY recovery.number DESC
 LIMIT 1000;

ALTER TABLE outbox_ops.recoveries OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.recoveries IS 'What people did about a database and streams that did not agree, newest first.';

COMMENT ON COLUMN outbox_ops.recoveries.number IS 'Its number.';

COMMENT ON COLUMN outbox_ops.recoveries.strategy IS '`continue`, `trust-database`, `trust-stream` or `republish`.';

COMMENT ON COLUMN outbox_ops.recoveries.state IS '`begun`: interrupted, or at work; `opened`: the new era is there, the marks beside the streams are not all written; `done`; `abandoned`: a person gave it up, or chose otherwise.';

COMMENT ON COLUMN outbox_ops.recoveries.era IS 'The era that it opened.';

COMMENT ON COLUMN outbox_ops.recoveries.reason IS 'Why.';

COMMENT ON COLUMN outbox_ops.recoveries.actor IS 'Who did it.';

COMMENT ON COLUMN outbox_ops.recoveries.entries_removed IS 'Entries that the database did not know and that were taken off their streams; kept in outbox.unknown_entry.';

COMMENT ON COLUMN outbox_ops.recoveries.entries_accepted IS 'Entries that the database did not know and that stayed on their streams; kept in outbox.unknown_entry as well.';

COMMENT ON COLUMN outbox_ops.recoveries.begun_at IS 'When it began.';

COMMENT ON COLUMN outbox_ops.recoveries.opened_at IS 'When the new era was opened.';

COMMENT ON COLUMN outbox_ops.recoveries.done_at IS 'When it was done.';

COMMENT ON COLUMN outbox_ops.recoveries.removing_at IS 'When it began to take entries off streams; from then on some may be missing there.';

COMMENT ON COLUMN outbox_ops.recoveries.abandoned_at IS 'When it was given up.';

COMMENT ON COLUMN outbox_ops.recoveries.abandoned_by IS 'Who gave it up.';

COMMENT ON COLUMN outbox_ops.recoveries.abandoned_because IS 'Why.';

CREATE VIEW outbox_ops.refusals AS
 SELECT refusal.number,
    refusal.code,
    refusal.said,
    refusal.epoch,
    refusal.refused_at,
    refusal.closed_at,
    refusal.recovery
   FROM outbox.refusal refusal
  ORDER BY refusal.number DESC
 LIMIT 1000;

ALTER TABLE outbox_ops.refusals OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.refusals IS 'What relays found at the sink that is not of this ledger, newest first. While one is open nothing is published.';

COMMENT ON COLUMN outbox_ops.refusals.number IS 'Its number.';

COMMENT ON COLUMN outbox_ops.refusals.code IS 'The word that `/readyz` begins with.';

COMMENT ON COLUMN outbox_ops.refusals.said IS 'What was seen, and what it means.';

COMMENT ON COLUMN outbox_ops.refusals.epoch IS 'Epoch of the leader that found it.';

COMMENT ON COLUMN outbox_ops.refusals.refused_at IS 'When it was found.';

COMMENT ON COLUMN outbox_ops.refusals.closed_at IS 'When a recovery closed it; null: it is open.';

COMMENT ON COLUMN outbox_ops.refusals.recovery IS 'The recovery that closed it.';

CREATE VIEW outbox_ops.reissue_orders AS
 SELECT o.number,
    o.topic,
    GREATEST((o.partition - 1), 0) AS partition,
    ((o.from_batch_id || '-'::text) || o.from_position) AS from_entry,
    ((o.to_batch_id || '-'::text) || o.to_position) AS to_entry,
    o.is_preview,
    o.state,
    o.answer,
    o.kept,
    o.wanted,
    o.events,
    o.actor,
    o.reason,
    o.ordered_at,
    o.answered_at,
        CASE o.partition
            WHEN 0 THEN o.topic
            ELSE ((o.topic || ':'::text) || (o.partition - 1))
        END AS stream,
    o.removed
   FROM outbox.reissue_order o;

ALTER TABLE outbox_ops.reissue_orders OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.reissue_orders IS 'Re-issues that people asked for with `outbox-relay recover reissue`, previews included: the audit of who did it and why.';

COMMENT ON COLUMN outbox_ops.reissue_orders.number IS 'Order of the orders.';

COMMENT ON COLUMN outbox_ops.reissue_orders.topic IS 'Topic.';

COMMENT ON COLUMN outbox_ops.reissue_orders.partition IS 'Partition of the topic; 0 also for the stream without a number.';

COMMENT ON COLUMN outbox_ops.reissue_orders.from_entry IS 'From which entry id on.';

COMMENT ON COLUMN outbox_ops.reissue_orders.to_entry IS 'Up to which entry id it was asked for; null: to the end.';

COMMENT ON COLUMN outbox_ops.reissue_orders.is_preview IS 'Whether it was only asked what it would be.';

COMMENT ON COLUMN outbox_ops.reissue_orders.state IS '`waiting` for the leading relay; `possible`: the answer to a preview; `done`: it was cut and is being published, or was; `refused`: see answer.';

COMMENT ON COLUMN outbox_ops.reissue_orders.answer IS 'Why it was refused, and what to do.';

COMMENT ON COLUMN outbox_ops.reissue_orders.kept IS 'The entry behind which it begins.';

COMMENT ON COLUMN outbox_ops.reissue_orders.wanted IS 'Events between the two ends that were asked for.';

COMMENT ON COLUMN outbox_ops.reissue_orders.events IS 'Events that are put out again: all of the stream behind the entry that is kept.';

COMMENT ON COLUMN outbox_ops.reissue_orders.actor IS 'Who asked.';

COMMENT ON COLUMN outbox_ops.reissue_orders.reason IS 'Why.';

COMMENT ON COLUMN outbox_ops.reissue_orders.ordered_at IS 'When.';

COMMENT ON COLUMN outbox_ops.reissue_orders.answered_at IS 'When the relay answered.';

COMMENT ON COLUMN outbox_ops.reissue_orders.stream IS 'The stream''s key at the sink, without prefix and writer.';

COMMENT ON COLUMN outbox_ops.reissue_orders.removed IS 'Events behind the entry that is kept that had been removed from the event store: they are not put out again.';

CREATE VIEW outbox_ops.reissues AS
 SELECT sent.topic,
    sent.partition,
    sent.stream,
    sent.kept,
    sent.missing,
    sent.asked_by,
    sent.cut_at,
    sent.events,
    sent.published,
        CASE
            WHEN sent.replaced THEN 'replaced'::text
            WHEN (sent.published >= sent.events) THEN 'done'::text
            ELSE 'running'::text
        END AS state,
        CASE
            WHEN ((sent.published > 0) AND (sent.published < sent.events) AND (NOT sent.replaced)) THEN ((clock_timestamp() - sent.cut_at) * (((sent.events - sent.published))::double precision / (sent.published)::double precision))
            ELSE NULL::interval
        END AS remaining,
    sent.removed
   FROM ( SELECT reissue.topic,
            GREATEST((reissue.partition - 1), 0) AS partition,
                CASE reissue.partition
                    WHEN 0 THEN reissue.topic
                    ELSE ((reissue.topic || ':'::text) || (reissue.partition - 1))
                END AS stream,
            ((reissue.kept_batch_id || '-'::text) || reissue.kept_position) AS kept,
            reissue.missing,
            reissue.asked_by,
            reissue.cut_at,
            share.event_count AS events,
            reissue.removed,
            ((EXISTS ( SELECT
                   FROM outbox.reissue later
                  WHERE ((later.topic = reissue.topic) AND (later.partition = reissue.partition) AND (later.batch_number > reissue.batch_number)))) AND (NOT COALESCE(here.is_over, false))) AS replaced,
                CASE
                    WHEN here.is_over THEN share.event_count
                    WHEN (here."position" IS NOT NULL) THEN (LEAST(((share.event_count - 1))::numeric, GREATEST((0)::numeric, floor((((share.event_count)::numeric * (((here."position" - share.first_position) + 1))::numeric) / (((share.last_position - share.first_position) + 1))::numeric)))))::bigint
                    ELSE (0)::bigint
                END AS published
           FROM ((((outbox.reissue reissue
             JOIN outbox.share share ON (((share.topic = reissue.topic) AND (share.partition = reissue.partition) AND (share.batch_number = reissue.batch_number))))
             LEFT JOIN LATERAL ( SELECT p."position",
                    (p."position" >= share.last_position) AS is_over
                   FROM outbox.progress p
                  WHERE ((p.topic = reissue.topic) AND (p.partition = reissue.partition) AND (p.batch_number = reissue.batch_number))
                  ORDER BY p."position" DESC
                 LIMIT 1) own ON (true))
             LEFT JOIN LATERAL ( SELECT p.batch_number
                   FROM outbox.progress p
                  WHERE ((p.topic = reissue.topic) AND (p.partition = reissue.partition))
                  ORDER BY p.batch_number DESC, p."position" DESC
                 LIMIT 1) newest ON (true))
             LEFT JOIN LATERAL ( SELECT own."position",
                    (COALESCE(own.is_over, false) OR ((newest.batch_number > reissue.batch_number) AND (NOT (EXISTS ( SELECT
                           FROM outbox.reissue later
                          WHERE ((later.topic = reissue.topic) AND (later.partition = reissue.partition) AND (later.batch_number > reissue.batch_number))))))) AS is_over) here ON (true))) sent;

ALTER TABLE outbox_ops.reissues OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.reissues IS 'Streams that were put out again from an entry on, and how far each is.';

COMMENT ON COLUMN outbox_ops.reissues.topic IS 'Topic.';

COMMENT ON COLUMN outbox_ops.reissues.partition IS 'Partition of the topic; 0 also for the stream without a number.';

COMMENT ON COLUMN outbox_ops.reissues.stream IS 'The stream''s key at the sink, without prefix and writer.';

COMMENT ON COLUMN outbox_ops.reissues.kept IS 'The entry behind which it begins; 0-0: at the beginning.';

COMMENT ON COLUMN outbox_ops.reissues.missing IS 'What was missing.';

COMMENT ON COLUMN outbox_ops.reissues.asked_by IS 'Who missed it: a group, the relay, or a person.';

COMMENT ON COLUMN outbox_ops.reissues.cut_at IS 'When it was cut.';

COMMENT ON COLUMN outbox_ops.reissues.events IS 'Events in it.';

COMMENT ON COLUMN outbox_ops.reissues.published IS 'How many of them are on the stream; estimated by position until all are.';

COMMENT ON COLUMN outbox_ops.reissues.state IS '`running`; `done`; `replaced`: a later re-issue of the stream took over before it was done.';

COMMENT ON COLUMN outbox_ops.reissues.remaining IS 'How long it will take at its speed so far; null when it is not running, or nothing is published yet.';

COMMENT ON COLUMN outbox_ops.reissues.removed IS 'Events behind the entry that is kept that had been removed from the event store: they are not in it.';

CREATE VIEW outbox_ops.relays AS
 SELECT relay.instance,
    relay.host,
    relay.process_id,
    relay.version,
    relay.started_at,
    relay.seen_at,
    (relay.seen_at > (clock_timestamp() - '00:00:30'::interval)) AS live,
    relay.state,
    relay.reason,
    COALESCE(( SELECT array_agg(l.name ORDER BY l.name) AS array_agg
           FROM outbox.lease l
          WHERE ((l.holder = relay.instance) AND (l.expires_at > clock_timestamp()))), '{}'::text[]) AS leases
   FROM outbox.relay relay;

ALTER TABLE outbox_ops.relays OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.relays IS 'Relay processes that were seen, leading or standing by.';

COMMENT ON COLUMN outbox_ops.relays.instance IS 'Name of the process.';

COMMENT ON COLUMN outbox_ops.relays.host IS 'Host it runs on.';

COMMENT ON COLUMN outbox_ops.relays.process_id IS 'Its process id there.';

COMMENT ON COLUMN outbox_ops.relays.version IS 'Its version.';

COMMENT ON COLUMN outbox_ops.relays.started_at IS 'When it started.';

COMMENT ON COLUMN outbox_ops.relays.seen_at IS 'When it last wrote here.';

COMMENT ON COLUMN outbox_ops.relays.live IS 'Whether that was within 30 seconds.';

COMMENT ON COLUMN outbox_ops.relays.state IS 'starting, standby, leading, waiting (cannot move anything for now) or refused (a person must decide).';

COMMENT ON COLUMN outbox_ops.relays.reason IS 'Why it waits or refuses.';

COMMENT ON COLUMN outbox_ops.relays.leases IS 'Rights it holds at this moment: tail, publish.';

CREATE VIEW outbox_ops.retries AS
 SELECT e.consumer,
    e.flow AS topic,
        CASE
            WHEN outbox.may_see_keys() THEN e.key
            ELSE NULL::text
        END AS key,
    e.stream,
    e.entry_id,
    e.source,
    e.id,
    e.type,
    e.attempts,
    ((e.history -> '-1'::integer) ->> 'class'::text) AS error_class,
    e.first_failed_at,
    (((e.history -> '-1'::integer) ->> 'failed_at'::text))::timestamp with time zone AS failed_at,
    NULLIF(l.due_at, 'infinity'::timestamp with time zone) AS retry_at
   FROM (outbox.parked_event e
     JOIN outbox.parked_lane l ON (((l.consumer = e.consumer) AND (l.flow = e.flow) AND (l.lane = e.lane))))
  WHERE (e.attempts > 0);

ALTER TABLE outbox_ops.retries OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.retries IS 'One row per event that failed and is tried again.';

COMMENT ON COLUMN outbox_ops.retries.consumer IS 'Consumer group.';

COMMENT ON COLUMN outbox_ops.retries.topic IS 'Topic, with `@writer` where several databases write it.';

COMMENT ON COLUMN outbox_ops.retries.key IS 'Its key; null for who may not see keys.';

COMMENT ON COLUMN outbox_ops.retries.stream IS 'Stream it came from.';

COMMENT ON COLUMN outbox_ops.retries.entry_id IS 'Its entry there.';

COMMENT ON COLUMN outbox_ops.retries.source IS 'Source of the event.';

COMMENT ON COLUMN outbox_ops.retries.id IS 'Id of the event.';

COMMENT ON COLUMN outbox_ops.retries.type IS 'Type of the event.';

COMMENT ON COLUMN outbox_ops.retries.attempts IS 'Failed attempts so far.';

COMMENT ON COLUMN outbox_ops.retries.error_class IS 'Class of the last error.';

COMMENT ON COLUMN outbox_ops.retries.first_failed_at IS 'When the first attempt failed.';

COMMENT ON COLUMN outbox_ops.retries.failed_at IS 'When the last attempt failed.';

COMMENT ON COLUMN outbox_ops.retries.retry_at IS 'When the next one is due.';

CREATE VIEW outbox_ops.stream_groups AS
 SELECT stream.topic,
    GREATEST((stream.partition - 1), 0) AS partition,
    reader.name AS group_name,
        CASE
            WHEN (reader.action = 'forgotten'::text) THEN 'forgotten'::text
            WHEN (seen.told IS NULL) THEN 'missing'::text
            ELSE 'reading'::text
        END AS state,
    reader.acted_at AS state_since,
    reader.actor,
    reader.reason,
    (seen.told ->> 'delivered'::text) AS last_delivered,
    ((seen.told ->> 'pending'::text))::bigint AS pending,
    (seen.told ->> 'lowest'::text) AS lowest_pending,
    COALESCE(seen.stream, stream.name) AS stream,
    seen.seen_at
   FROM ((outbox.topic_stream stream
     CROSS JOIN LATERAL outbox.groups_of(stream.topic, stream.partition) reader(name, action, is_own, delivered, reason, actor, acted_at))
     LEFT JOIN LATERAL ( SELECT s.seen_at,
            s.stream,
            told.told
           FROM (outbox.stream_seen s
             LEFT JOIN LATERAL ( SELECT t.value AS told
                   FROM jsonb_array_elements(s.groups) t(value)
                  WHERE ((t.value ->> 'name'::text) = reader.name)
                 LIMIT 1) told ON (true))
          WHERE ((s.topic = stream.topic) AND (s.partition = stream.partition))) seen ON (true));

ALTER TABLE outbox_ops.stream_groups OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.stream_groups IS 'One row per stream and consumer group: whether the stream waits for it, and how far it came.';

COMMENT ON COLUMN outbox_ops.stream_groups.topic IS 'Topic.';

COMMENT ON COLUMN outbox_ops.stream_groups.partition IS 'Partition of the topic; 0 also for the stream without a number.';

COMMENT ON COLUMN outbox_ops.stream_groups.group_name IS 'The consumer group.';

COMMENT ON COLUMN outbox_ops.stream_groups.state IS '`reading`; `missing`: registered, and not on the stream, so it has acknowledged nothing; `forgotten`: a person unregistered it, and the stream no longer waits for it.';

COMMENT ON COLUMN outbox_ops.stream_groups.state_since IS 'When it was registered or forgotten.';

COMMENT ON COLUMN outbox_ops.stream_groups.actor IS 'Who registered or forgot it.';

COMMENT ON COLUMN outbox_ops.stream_groups.reason IS 'Why.';

COMMENT ON COLUMN outbox_ops.stream_groups.last_delivered IS 'The entry last delivered to it.';

COMMENT ON COLUMN outbox_ops.stream_groups.pending IS 'Entries delivered and not acknowledged.';

COMMENT ON COLUMN outbox_ops.stream_groups.lowest_pending IS 'The lowest of them: nothing from there on is trimmed.';

COMMENT ON COLUMN outbox_ops.stream_groups.stream IS 'Key of the stream at the sink.';

COMMENT ON COLUMN outbox_ops.stream_groups.seen_at IS 'When the relay last looked.';

CREATE VIEW outbox_ops.streams AS
 SELECT seen.topic,
    GREATEST((seen.partition - 1), 0) AS partition,
    seen.stream,
    seen.length,
    seen.memory_bytes,
    seen.first_entry,
    seen.last_entry,
    rule.retention,
    rule.cap,
    ((floor.batch_id || '-'::text) || floor."position") AS floor,
    floor.recorded_at AS trimmed_at,
    seen.held_by,
    seen.held_since,
    (COALESCE(( SELECT sum(lost.unread) AS sum
           FROM outbox.trim_floor lost
          WHERE ((lost.topic = seen.topic) AND (lost.partition = seen.partition) AND (lost.unread > 0))), (0)::numeric))::bigint AS lost_unread,
    seen.seen_at
   FROM ((outbox.stream_seen seen
     LEFT JOIN outbox.stream_rule rule ON ((rule.topic = seen.topic)))
     LEFT JOIN LATERAL ( SELECT f.number,
            f.topic,
            f.partition,
            f.batch_id,
            f."position",
            f.cause,
            f.unread,
            f.epoch,
            f.recorded_at
           FROM outbox.trim_floor f
          WHERE ((f.topic = seen.topic) AND (f.partition = seen.partition))
          ORDER BY f.batch_id DESC, f."position" DESC
         LIMIT 1) floor ON (true));

ALTER TABLE outbox_ops.streams OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.streams IS 'One row per stream at the sink, as the leading relay last saw it: how long it is, how far it was trimmed, and who holds it.';

COMMENT ON COLUMN outbox_ops.streams.topic IS 'Topic.';

COMMENT ON COLUMN outbox_ops.streams.partition IS 'Partition of the topic; 0 also for the stream without a number.';

COMMENT ON COLUMN outbox_ops.streams.stream IS 'Its key at the sink.';

COMMENT ON COLUMN outbox_ops.streams.length IS 'Entries on it.';

COMMENT ON COLUMN outbox_ops.streams.memory_bytes IS 'What it takes at the sink, estimated; null where the sink does not say.';

COMMENT ON COLUMN outbox_ops.streams.first_entry IS 'Its first entry; null when it has none.';

COMMENT ON COLUMN outbox_ops.streams.last_entry IS 'The entry that the relay put on it last.';

COMMENT ON COLUMN outbox_ops.streams.retention IS 'How long entries stay at least; null for ever.';

COMMENT ON COLUMN outbox_ops.streams.cap IS 'Hard cap on its length; null for none.';

COMMENT ON COLUMN outbox_ops.streams.floor IS 'Entries with a lower id may have been taken off; null when none were.';

COMMENT ON COLUMN outbox_ops.streams.trimmed_at IS 'When that was recorded.';

COMMENT ON COLUMN outbox_ops.streams.held_by IS 'The group that has not acknowledged entries that are old enough to go.';

COMMENT ON COLUMN outbox_ops.streams.held_since IS 'Since when that group holds the stream.';

COMMENT ON COLUMN outbox_ops.streams.lost_unread IS 'Entries that the hard cap took off before some registered group had acknowledged them.';

COMMENT ON COLUMN outbox_ops.streams.seen_at IS 'When the relay last looked.';

CREATE VIEW outbox_ops.subscriptions AS
 SELECT s.name AS subscription,
    s.generation,
        CASE
            WHEN (s.paused_at IS NOT NULL) THEN 'paused'::text
            WHEN (lease.held = 0) THEN 'waiting'::text
            ELSE 'running'::text
        END AS state,
    s.partitions,
    lease.held AS held_partitions,
    s.categories,
    s.types,
    backlog.events AS lag_events,
    backlog.exact AS lag_exact,
        CASE
            WHEN (backlog.oldest_recorded_at IS NOT NULL) THEN (GREATEST(EXTRACT(epoch FROM (clock_timestamp() - backlog.oldest_recorded_at)), (0)::numeric))::double precision
            ELSE (0)::double precision
        END AS lag_seconds,
    parked.retrying AS retrying_streams,
    parked.parked AS parked_streams,
    place.events AS applied_events,
    place.last_recorded_at,
    place.moved_at,
    s.paused_at,
    s.paused_by,
    s.paused_reason,
    s.created_at
   FROM ((((outbox.subscription s
     CROSS JOIN LATERAL ( SELECT count(*) FILTER (WHERE (l.expires_at > clock_timestamp())) AS held
           FROM outbox.subscription_lease l
          WHERE ((l.subscription = s.name) AND (l.generation = s.generation))) lease)
     CROSS JOIN LATERAL ( SELECT (sum(c.events))::bigint AS events,
            max(c.last_recorded_at) AS last_recorded_at,
            max(c.moved_at) AS moved_at
           FROM outbox.subscription_checkpoint c
          WHERE ((c.subscription = s.name) AND (c.generation = s.generation))) place)
     CROSS JOIN LATERAL ( SELECT count(*) FILTER (WHERE (p.state = 'retrying'::text)) AS retrying,
            count(*) FILTER (WHERE (p.state = 'parked'::text)) AS parked
           FROM outbox.parked_stream p
          WHERE ((p.subscription = s.name) AND (p.generation = s.generation))) parked)
     CROSS JOIN LATERAL outbox.subscription_backlog(s.name, s.generation) backlog(events, exact, oldest_recorded_at));

ALTER TABLE outbox_ops.subscriptions OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.subscriptions IS 'Subscriptions: state, what lies before them, and how many streams wait.';

COMMENT ON COLUMN outbox_ops.subscriptions.subscription IS 'Its name.';

COMMENT ON COLUMN outbox_ops.subscriptions.generation IS '1, and one more each time that a projection was built anew.';

COMMENT ON COLUMN outbox_ops.subscriptions.state IS '`running`; `waiting`: no process holds a partition of it; `paused`: by a person.';

COMMENT ON COLUMN outbox_ops.subscriptions.partitions IS 'How many processes can share it at most.';

COMMENT ON COLUMN outbox_ops.subscriptions.held_partitions IS 'How many of them a process holds now.';

COMMENT ON COLUMN outbox_ops.subscriptions.categories IS 'Categories that it reads; null: all.';

COMMENT ON COLUMN outbox_ops.subscriptions.types IS 'Types that it reads; null: all.';

COMMENT ON COLUMN outbox_ops.subscriptions.lag_events IS 'Events that lie before it; counted up to 10,000 per partition.';

COMMENT ON COLUMN outbox_ops.subscriptions.lag_exact IS 'Whether there are no more than counted.';

COMMENT ON COLUMN outbox_ops.subscriptions.lag_seconds IS 'Age of the oldest of them; 0: there is none.';

COMMENT ON COLUMN outbox_ops.subscriptions.retrying_streams IS 'Streams that wait for the next attempt at an event that failed.';

COMMENT ON COLUMN outbox_ops.subscriptions.parked_streams IS 'Streams that wait for a person: nothing of them is applied meanwhile.';

COMMENT ON COLUMN outbox_ops.subscriptions.applied_events IS 'Events handed to its handler so far.';

COMMENT ON COLUMN outbox_ops.subscriptions.last_recorded_at IS 'When the newest of them was recorded.';

COMMENT ON COLUMN outbox_ops.subscriptions.moved_at IS 'When its checkpoint moved last.';

COMMENT ON COLUMN outbox_ops.subscriptions.paused_at IS 'Since when it is paused.';

COMMENT ON COLUMN outbox_ops.subscriptions.paused_by IS 'By whom.';

COMMENT ON COLUMN outbox_ops.subscriptions.paused_reason IS 'Why.';

COMMENT ON COLUMN outbox_ops.subscriptions.created_at IS 'When it was run for the first time.';

CREATE VIEW outbox_ops.summary AS
 SELECT summary.as_of,
    summary.verdict,
    summary.reason,
    summary.backlog,
    summary.backlog_exact,
    summary.oldest_unpublished_age,
    summary.leader,
    summary.epoch,
    summary.lease_expires_at,
    summary.live_relays,
    summary.topics_set_aside,
    summary.topics_blocked,
    summary.last_batch,
    summary.last_batch_events,
    summary.last_batch_at,
    summary.events_skipped,
    summary.notification_queue_usage
   FROM outbox.summary() summary(as_of, verdict, reason, backlog, backlog_exact, oldest_unpublished_age, leader, epoch, lease_expires_at, live_relays, topics_set_aside, topics_blocked, last_batch, last_batch_events, last_batch_at, events_skipped, notification_queue_usage);

ALTER TABLE outbox_ops.summary OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.summary IS 'One row: does work move, and if not, why.';

COMMENT ON COLUMN outbox_ops.summary.as_of IS 'When this was read.';

COMMENT ON COLUMN outbox_ops.summary.verdict IS 'ok; degraded: some of it waits or would; stalled: nothing moves.';

COMMENT ON COLUMN outbox_ops.summary.reason IS 'Why it is not ok, and what to do.';

COMMENT ON COLUMN outbox_ops.summary.backlog IS 'Committed events that are not on their streams yet.';

COMMENT ON COLUMN outbox_ops.summary.backlog_exact IS 'False when backlog is an estimate or a lower bound; see outbox_ops.backlog.';

COMMENT ON COLUMN outbox_ops.summary.oldest_unpublished_age IS 'How long the oldest of them has waited.';

COMMENT ON COLUMN outbox_ops.summary.leader IS 'Relay that cuts batches; null when none does.';

COMMENT ON COLUMN outbox_ops.summary.epoch IS 'Rises with each change of leader.';

COMMENT ON COLUMN outbox_ops.summary.lease_expires_at IS 'Until when the last leader leads, or led, if it does not renew.';

COMMENT ON COLUMN outbox_ops.summary.live_relays IS 'Relays seen within 30 seconds, leading or standing by.';

COMMENT ON COLUMN outbox_ops.summary.topics_set_aside IS 'Streams that wait for a person.';

COMMENT ON COLUMN outbox_ops.summary.topics_blocked IS 'Streams that the sink does not take now.';

COMMENT ON COLUMN outbox_ops.summary.last_batch IS 'Number of the newest batch.';

COMMENT ON COLUMN outbox_ops.summary.last_batch_events IS 'Events in it.';

COMMENT ON COLUMN outbox_ops.summary.last_batch_at IS 'When it was cut.';

COMMENT ON COLUMN outbox_ops.summary.events_skipped IS 'Events given up by hand, kept in outbox.unpublished.';

COMMENT ON COLUMN outbox_ops.summary.notification_queue_usage IS 'How full the notification queue of the cluster is, 0 to 1; from 0.5 on the doorbell is silent.';

CREATE VIEW outbox_ops.topics AS
 SELECT topic.name AS topic,
    GREATEST((stream.partition - 1), 0) AS partition,
    topic.retention,
    class.keep,
    topic.created_at AS seen_since,
    COALESCE(stopped.action,
        CASE
            WHEN ((stream.partition = 0) AND (EXISTS ( SELECT
               FROM outbox.topic_layout l
              WHERE ((l.topic = topic.name) AND (l.batch_number <= passed.batch_number))))) THEN 'ended'::text
            ELSE 'moving'::text
        END) AS state,
    stopped.acted_at AS stopped_since,
    stopped.reason,
    stopped.event_id,
    passed.batch_number AS passed_batch,
    passed."position" AS passed_position,
        CASE
            WHEN (passed.chain_batch_id > 0) THEN ((passed.chain_batch_id || '-'::text) || passed.chain_position)
            ELSE NULL::text
        END AS last_entry,
    passed.recorded_at AS passed_at,
    stream.name AS stream
   FROM (((((outbox.topic topic
     JOIN outbox.retention_class class ON ((class.name = topic.retention)))
     JOIN outbox.topic_stream stream ON ((stream.topic = topic.name)))
     LEFT JOIN LATERAL ( SELECT a.number,
            a.topic,
            a.partition,
            a.action,
            a.batch_number,
            a."position",
            a.event_id,
            a.reason,
            a.actor,
            a.acted_at
           FROM outbox.stream_action a
          WHERE ((a.topic = topic.name) AND (a.partition = stream.partition))
          ORDER BY a.number DESC
         LIMIT 1) latest ON (true))
     LEFT JOIN LATERAL ( SELECT latest.number,
            latest.topic,
            latest.partition,
            latest.action,
            latest.batch_number,
            latest."position",
            latest.event_id,
            latest.reason,
            latest.actor,
            latest.acted_at
          WHERE (latest.action = ANY (ARRAY['set_aside'::text, 'blocked'::text, 'lost'::text]))) stopped ON (true))
     LEFT JOIN LATERAL ( SELECT p.number,
            p.topic,
            p.partition,
            p.batch_number,
            p."position",
            p.chain_batch_id,
            p.chain_position,
            p.epoch,
            p.recorded_at
           FROM outbox.progress p
          WHERE ((p.topic = topic.name) AND (p.partition = stream.partition))
          ORDER BY p.batch_number DESC, p."position" DESC
         LIMIT 1) passed ON (true));

ALTER TABLE outbox_ops.topics OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.topics IS 'One row per stream: how long its events are kept, how far it was published, and whether it waits for a person.';

COMMENT ON COLUMN outbox_ops.topics.topic IS 'Topic.';

COMMENT ON COLUMN outbox_ops.topics.partition IS 'Partition of the topic; 0 also for the stream without a number.';

COMMENT ON COLUMN outbox_ops.topics.retention IS 'Retention class.';

COMMENT ON COLUMN outbox_ops.topics.keep IS 'How long events of the class are kept; null for ever.';

COMMENT ON COLUMN outbox_ops.topics.seen_since IS 'When the relay saw the topic first, or a person set it up.';

COMMENT ON COLUMN outbox_ops.topics.state IS '`moving`; `ended`: the topic has partitions since, and nothing more comes on this stream; `blocked`: the sink does not take this stream now (wrong type, no permission), and the relay tries again; `lost`: the sink no longer has the entry last put on it, and the relay repairs it; `set_aside`: it waits at one event for `outbox-relay topic resume` or `topic skip-event`.';

COMMENT ON COLUMN outbox_ops.topics.stopped_since IS 'Since when it does not move.';

COMMENT ON COLUMN outbox_ops.topics.reason IS 'Why it does not move.';

COMMENT ON COLUMN outbox_ops.topics.event_id IS 'The event at which a stream that is set aside waits.';

COMMENT ON COLUMN outbox_ops.topics.passed_batch IS 'Number of the batch through which it was published, wholly or up to passed_position.';

COMMENT ON COLUMN outbox_ops.topics.passed_position IS 'Position in the log of the event published last.';

COMMENT ON COLUMN outbox_ops.topics.last_entry IS 'Id of its last entry on the stream.';

COMMENT ON COLUMN outbox_ops.topics.passed_at IS 'When that was recorded.';

COMMENT ON COLUMN outbox_ops.topics.stream IS 'The stream''s key at the sink, without prefix and writer: the topic, or the topic and `:` and the partition.';

CREATE VIEW outbox_ops.waiting_transactions AS
 SELECT waiting_transactions.pid,
    waiting_transactions.kind,
    waiting_transactions.user_name,
    waiting_transactions.application,
    waiting_transactions.state,
    waiting_transactions.started_at,
    waiting_transactions.age,
    waiting_transactions.query_started_at,
    waiting_transactions.waits_for,
    waiting_transactions.prepared_name,
    waiting_transactions.holds_back
   FROM outbox.waiting_transactions() waiting_transactions(pid, kind, user_name, application, state, started_at, age, query_started_at, waits_for, prepared_name, holds_back);

ALTER TABLE outbox_ops.waiting_transactions OWNER TO outbox_maintainer;

COMMENT ON VIEW outbox_ops.waiting_transactions IS 'Open transactions of this database that touched the log, and what each holds back: only its own events, never those of others.';

COMMENT ON COLUMN outbox_ops.waiting_transactions.pid IS 'Process of the server; null for a prepared transaction.';

COMMENT ON COLUMN outbox_ops.waiting_transactions.kind IS '`transaction` or `prepared` (two-phase commit).';

COMMENT ON COLUMN outbox_ops.waiting_transactions.user_name IS 'Its user.';

COMMENT ON COLUMN outbox_ops.waiting_transactions.application IS 'What its application calls itself.';

COMMENT ON COLUMN outbox_ops.waiting_transactions.state IS 'State of its session: active, idle in transaction, prepared, …';

COMMENT ON COLUMN outbox_ops.waiting_transactions.started_at IS 'When it began.';

COMMENT ON COLUMN outbox_ops.waiting_transactions.age IS 'How long ago that was.';

COMMENT ON COLUMN outbox_ops.waiting_transactions.query_started_at IS 'When its last statement began. Its text is not shown: it may hold data.';

COMMENT ON COLUMN outbox_ops.waiting_transactions.waits_for IS 'What it waits for in the server.';

COMMENT ON COLUMN outbox_ops.waiting_transactions.prepared_name IS 'The name to commit or roll it back by.';

COMMENT ON COLUMN outbox_ops.waiting_transactions.holds_back IS 'appends: events of its own; sleep: the relay polls instead of sleeping; retention: for more than a minute it may keep a piece of the log from being dropped.';

ALTER TABLE ONLY outbox.batch ATTACH PARTITION outbox.batch_from_0 FOR VALUES FROM (MINVALUE) TO ('262144');

ALTER TABLE ONLY outbox.batch ATTACH PARTITION outbox.batch_from_1835008 FOR VALUES FROM ('1835008') TO ('3932160');

ALTER TABLE ONLY outbox.batch ATTACH PARTITION outbox.batch_from_262144 FOR VALUES FROM ('262144') TO ('786432');

ALTER TABLE ONLY outbox.batch ATTACH PARTITION outbox.batch_from_3932160 FOR VALUES FROM ('3932160') TO (MAXVALUE);

ALTER TABLE ONLY outbox.batch ATTACH PARTITION outbox.batch_from_786432 FOR VALUES FROM ('786432') TO ('1835008');

ALTER TABLE ONLY outbox.log ATTACH PARTITION outbox.log_archive FOR VALUES IN ('archive');

ALTER TABLE ONLY outbox.log ATTACH PARTITION outbox.log_audit FOR VALUES IN ('audit');

ALTER TABLE ONLY outbox.log_audit ATTACH PARTITION outbox.log_audit_from_1 FOR VALUES FROM (MINVALUE) TO ('1048577');

ALTER TABLE ONLY outbox.log_audit ATTACH PARTITION outbox.log_audit_from_1048577 FOR VALUES FROM ('1048577') TO ('3145729');

ALTER TABLE ONLY outbox.log_audit ATTACH PARTITION outbox.log_audit_from_15728641 FOR VALUES FROM ('15728641') TO (MAXVALUE);

ALTER TABLE ONLY outbox.log_audit ATTACH PARTITION outbox.log_audit_from_3145729 FOR VALUES FROM ('3145729') TO ('7340033');

ALTER TABLE ONLY outbox.log_audit ATTACH PARTITION outbox.log_audit_from_7340033 FOR VALUES FROM ('7340033') TO ('15728641');

ALTER TABLE ONLY outbox.log ATTACH PARTITION outbox.log_durable FOR VALUES IN ('durable');

ALTER TABLE ONLY outbox.log ATTACH PARTITION outbox.log_standard FOR VALUES IN ('standard');

ALTER TABLE ONLY outbox.log_standard ATTACH PARTITION outbox.log_standard_from_1 FOR VALUES FROM (MINVALUE) TO ('262145');

ALTER TABLE ONLY outbox.log_standard ATTACH PARTITION outbox.log_standard_from_16515073 FOR VALUES FROM ('16515073') TO ('33292289');

ALTER TABLE ONLY outbox.log_standard ATTACH PARTITION outbox.log_standard_from_1835009 FOR VALUES FROM ('1835009') TO ('3932161');

ALTER TABLE ONLY outbox.log_standard ATTACH PARTITION outbox.log_standard_from_262145 FOR VALUES FROM ('262145') TO ('786433');

ALTER TABLE ONLY outbox.log_standard ATTACH PARTITION outbox.log_standard_from_33292289 FOR VALUES FROM ('33292289') TO ('66846721');

ALTER TABLE ONLY outbox.log_standard ATTACH PARTITION outbox.log_standard_from_3932161 FOR VALUES FROM ('3932161') TO ('8126465');

ALTER TABLE ONLY outbox.log_standard ATTACH PARTITION outbox.log_standard_from_66846721 FOR VALUES FROM ('66846721') TO (MAXVALUE);

ALTER TABLE ONLY outbox.log_standard ATTACH PARTITION outbox.log_standard_from_786433 FOR VALUES FROM ('786433') TO ('1835009');

ALTER TABLE ONLY outbox.log_standard ATTACH PARTITION outbox.log_standard_from_8126465 FOR VALUES FROM ('8126465') TO ('16515073');

ALTER TABLE ONLY outbox.log ATTACH PARTITION outbox.log_stream FOR VALUES IN ('stream');

ALTER TABLE ONLY outbox.progress ATTACH PARTITION outbox.progress_from_0 FOR VALUES FROM (MINVALUE) TO ('262144');

ALTER TABLE ONLY outbox.progress ATTACH PARTITION outbox.progress_from_1835008 FOR VALUES FROM ('1835008') TO ('3932160');

ALTER TABLE ONLY outbox.progress ATTACH PARTITION outbox.progress_from_262144 FOR VALUES FROM ('262144') TO ('786432');

ALTER TABLE ONLY outbox.progress ATTACH PARTITION outbox.progress_from_3932160 FOR VALUES FROM ('3932160') TO (MAXVALUE);

ALTER TABLE ONLY outbox.progress ATTACH PARTITION outbox.progress_from_786432 FOR VALUES FROM ('786432') TO ('1835008');

ALTER TABLE ONLY outbox.share ATTACH PARTITION outbox.share_from_0 FOR VALUES FROM (MINVALUE) TO ('262144');

ALTER TABLE ONLY outbox.share ATTACH PARTITION outbox.share_from_1835008 FOR VALUES FROM ('1835008') TO ('3932160');

ALTER TABLE ONLY outbox.share ATTACH PARTITION outbox.share_from_262144 FOR VALUES FROM ('262144') TO ('786432');

ALTER TABLE ONLY outbox.share ATTACH PARTITION outbox.share_from_3932160 FOR VALUES FROM ('3932160') TO (MAXVALUE);

ALTER TABLE ONLY outbox.share ATTACH PARTITION outbox.share_from_786432 FOR VALUES FROM ('786432') TO ('1835008');

ALTER TABLE ONLY outbox.batch
    ADD CONSTRAINT batch_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.batch_from_0
    ADD CONSTRAINT batch_from_0_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.batch_from_1835008
    ADD CONSTRAINT batch_from_1835008_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.batch_from_262144
    ADD CONSTRAINT batch_from_262144_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.batch_from_3932160
    ADD CONSTRAINT batch_from_3932160_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.batch_from_786432
    ADD CONSTRAINT batch_from_786432_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.category
    ADD CONSTRAINT category_name_key UNIQUE (name);

ALTER TABLE ONLY outbox.category
    ADD CONSTRAINT category_pkey PRIMARY KEY (id);

ALTER TABLE ONLY outbox.consumer_audit
    ADD CONSTRAINT consumer_audit_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.consumer_failure
    ADD CONSTRAINT consumer_failure_pkey PRIMARY KEY (consumer, stream, entry_id);

ALTER TABLE ONLY outbox.consumer_lease
    ADD CONSTRAINT consumer_lease_pkey PRIMARY KEY (consumer, stream);

ALTER TABLE ONLY outbox.consumer_member
    ADD CONSTRAINT consumer_member_pkey PRIMARY KEY (consumer, member);

ALTER TABLE ONLY outbox.consumer
    ADD CONSTRAINT consumer_pkey PRIMARY KEY (name);

ALTER TABLE ONLY outbox.consumer_stream
    ADD CONSTRAINT consumer_stream_pkey PRIMARY KEY (consumer, stream);

ALTER TABLE ONLY outbox.dead_letter
    ADD CONSTRAINT dead_letter_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.era
    ADD CONSTRAINT era_pkey PRIMARY KEY (era);

ALTER TABLE ONLY outbox.era_share
    ADD CONSTRAINT era_share_pkey PRIMARY KEY (batch_number, topic, partition);

ALTER TABLE ONLY outbox.era_start
    ADD CONSTRAINT era_start_pkey PRIMARY KEY (topic, partition, batch_number);

ALTER TABLE ONLY outbox.event_tag
    ADD CONSTRAINT event_tag_pkey PRIMARY KEY (tag, "position");

ALTER TABLE ONLY outbox.hole_pass
    ADD CONSTRAINT hole_pass_consumer_stream_entry_id_key UNIQUE (consumer, stream, entry_id);

ALTER TABLE ONLY outbox.hole_pass
    ADD CONSTRAINT hole_pass_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.hole
    ADD CONSTRAINT hole_pkey PRIMARY KEY (topic, partition, group_name);

ALTER TABLE ONLY outbox.inbox_foreign
    ADD CONSTRAINT inbox_foreign_pkey PRIMARY KEY (consumer, source, id);

ALTER TABLE ONLY outbox.inbox_keyed
    ADD CONSTRAINT inbox_keyed_pkey PRIMARY KEY (consumer, topic, identity);

ALTER TABLE ONLY outbox.inbox_migration
    ADD CONSTRAINT inbox_migration_pkey PRIMARY KEY (version);

ALTER TABLE ONLY outbox.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, source, id, recorded_at);

ALTER TABLE ONLY outbox.inbox_settings
    ADD CONSTRAINT inbox_settings_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY outbox.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (name);

ALTER TABLE ONLY outbox.log_migration
    ADD CONSTRAINT log_migration_pkey PRIMARY KEY (version);

ALTER TABLE ONLY outbox.loss
    ADD CONSTRAINT loss_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.master_key
    ADD CONSTRAINT master_key_pkey PRIMARY KEY (name);

ALTER TABLE ONLY outbox.misnamed_topic
    ADD CONSTRAINT misnamed_topic_pkey PRIMARY KEY (topic);

ALTER TABLE ONLY outbox.operation_item
    ADD CONSTRAINT operation_item_pkey PRIMARY KEY (operation, place);

ALTER TABLE ONLY outbox.operation
    ADD CONSTRAINT operation_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.parked_event
    ADD CONSTRAINT parked_event_consumer_source_id_key UNIQUE (consumer, source, id);

ALTER TABLE ONLY outbox.parked_event
    ADD CONSTRAINT parked_event_pkey PRIMARY KEY (consumer, flow, lane, place);

ALTER TABLE ONLY outbox.parked_lane
    ADD CONSTRAINT parked_lane_pkey PRIMARY KEY (consumer, flow, lane);

ALTER TABLE ONLY outbox.parked_stream
    ADD CONSTRAINT parked_stream_pkey PRIMARY KEY (subscription, generation, stream);

ALTER TABLE ONLY outbox.projection
    ADD CONSTRAINT projection_pkey PRIMARY KEY (name);

ALTER TABLE ONLY outbox.projection_rebuild
    ADD CONSTRAINT projection_rebuild_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.recovery
    ADD CONSTRAINT recovery_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.refusal
    ADD CONSTRAINT refusal_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.reissue_order
    ADD CONSTRAINT reissue_order_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.reissue
    ADD CONSTRAINT reissue_pkey PRIMARY KEY (batch_number);

ALTER TABLE ONLY outbox.relay
    ADD CONSTRAINT relay_pkey PRIMARY KEY (instance);

ALTER TABLE ONLY outbox.removed
    ADD CONSTRAINT removed_pkey PRIMARY KEY (topic, first_position);

ALTER TABLE ONLY outbox.retention_class
    ADD CONSTRAINT retention_class_pkey PRIMARY KEY (name);

ALTER TABLE ONLY outbox.route
    ADD CONSTRAINT route_pkey PRIMARY KEY (category, type);

ALTER TABLE ONLY outbox.settings
    ADD CONSTRAINT settings_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY outbox.share
    ADD CONSTRAINT share_pkey PRIMARY KEY (topic, partition, batch_number);

ALTER TABLE ONLY outbox.share_from_0
    ADD CONSTRAINT share_from_0_pkey PRIMARY KEY (topic, partition, batch_number);

ALTER TABLE ONLY outbox.share_from_1835008
    ADD CONSTRAINT share_from_1835008_pkey PRIMARY KEY (topic, partition, batch_number);

ALTER TABLE ONLY outbox.share_from_262144
    ADD CONSTRAINT share_from_262144_pkey PRIMARY KEY (topic, partition, batch_number);

ALTER TABLE ONLY outbox.share_from_3932160
    ADD CONSTRAINT share_from_3932160_pkey PRIMARY KEY (topic, partition, batch_number);

ALTER TABLE ONLY outbox.share_from_786432
    ADD CONSTRAINT share_from_786432_pkey PRIMARY KEY (topic, partition, batch_number);

ALTER TABLE ONLY outbox.stream_action
    ADD CONSTRAINT stream_action_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.stream_group
    ADD CONSTRAINT stream_group_pkey PRIMARY KEY (number);

ALTER TABLE outbox.log_archive
    ADD CONSTRAINT stream_is_counted CHECK (((stream IS NOT NULL) AND (version > 0) AND (category IS NOT NULL))) NOT VALID;

ALTER TABLE ONLY outbox.stream_mark
    ADD CONSTRAINT stream_mark_pkey PRIMARY KEY (consumer, stream);

ALTER TABLE ONLY outbox.stream
    ADD CONSTRAINT stream_name_key UNIQUE (name);

ALTER TABLE ONLY outbox.stream
    ADD CONSTRAINT stream_pkey PRIMARY KEY (id);

ALTER TABLE ONLY outbox.stream_seen
    ADD CONSTRAINT stream_seen_pkey PRIMARY KEY (topic, partition);

ALTER TABLE ONLY outbox.stream_setting
    ADD CONSTRAINT stream_setting_pkey PRIMARY KEY (topic);

ALTER TABLE ONLY outbox.stream_snapshot
    ADD CONSTRAINT stream_snapshot_pkey PRIMARY KEY (stream, shape, shape_version);

ALTER TABLE ONLY outbox.stream_step
    ADD CONSTRAINT stream_step_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.subject_key
    ADD CONSTRAINT subject_key_pkey PRIMARY KEY (id);

ALTER TABLE ONLY outbox.subject_step
    ADD CONSTRAINT subject_step_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.subscription_action
    ADD CONSTRAINT subscription_action_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.subscription_checkpoint
    ADD CONSTRAINT subscription_checkpoint_pkey PRIMARY KEY (subscription, generation, partition);

ALTER TABLE ONLY outbox.subscription_lease
    ADD CONSTRAINT subscription_lease_pkey PRIMARY KEY (subscription, generation, partition);

ALTER TABLE ONLY outbox.subscription_member
    ADD CONSTRAINT subscription_member_pkey PRIMARY KEY (subscription, generation, member);

ALTER TABLE ONLY outbox.subscription
    ADD CONSTRAINT subscription_pkey PRIMARY KEY (name, generation);

ALTER TABLE ONLY outbox.timeline
    ADD CONSTRAINT timeline_pkey PRIMARY KEY (era, timeline);

ALTER TABLE ONLY outbox.topic_layout
    ADD CONSTRAINT topic_layout_pkey PRIMARY KEY (topic, generation);

ALTER TABLE ONLY outbox.topic
    ADD CONSTRAINT topic_pkey PRIMARY KEY (name);

ALTER TABLE ONLY outbox.trim_floor
    ADD CONSTRAINT trim_floor_pkey PRIMARY KEY (number);

ALTER TABLE ONLY outbox.unknown_entry
    ADD CONSTRAINT unknown_entry_pkey PRIMARY KEY (stream, batch_id, "position");

ALTER TABLE ONLY outbox.unpublished
    ADD CONSTRAINT unpublished_pkey PRIMARY KEY ("position");

CREATE INDEX batch_by_id ON ONLY outbox.batch USING btree (batch_id);

CREATE INDEX batch_from_0_batch_id_idx ON outbox.batch_from_0 USING btree (batch_id);

CREATE INDEX batch_from_1835008_batch_id_idx ON outbox.batch_from_1835008 USING btree (batch_id);

CREATE INDEX batch_from_262144_batch_id_idx ON outbox.batch_from_262144 USING btree (batch_id);

CREATE INDEX batch_from_3932160_batch_id_idx ON outbox.batch_from_3932160 USING btree (batch_id);

CREATE INDEX batch_from_786432_batch_id_idx ON outbox.batch_from_786432 USING btree (batch_id);

CREATE UNIQUE INDEX dead_letter_by_entry ON outbox.dead_letter USING btree (consumer, stream, entry_id);

CREATE INDEX dead_letter_by_event ON outbox.dead_letter USING btree (id);

CREATE INDEX dead_letter_by_fingerprint ON outbox.dead_letter USING btree (consumer, fingerprint, number) WHERE (state = 'dead'::text);

CREATE INDEX dead_letter_by_lane ON outbox.dead_letter USING btree (consumer, flow, lane, dead_at DESC, number DESC) WHERE (state = 'dead'::text);

CREATE INDEX dead_letter_open_by_recorded_at ON outbox.dead_letter USING btree (recorded_at) WHERE (state = ANY (ARRAY['dead'::text, 'redriving'::text]));

CREATE INDEX event_tag_unseen ON outbox.event_tag USING btree (tag, transaction_id);

CREATE INDEX inbox_foreign_by_age ON outbox.inbox_foreign USING btree (applied_at);

CREATE INDEX inbox_keyed_by_end ON outbox.inbox_keyed USING btree (consumer, expires_at);

CREATE INDEX log_archive_category ON outbox.log_archive USING btree (category, "position");

CREATE UNIQUE INDEX log_archive_event ON outbox.log_archive USING btree (id, source);

CREATE INDEX log_archive_position ON outbox.log_archive USING btree ("position") WHERE (stream IS NOT NULL);

CREATE INDEX log_by_topic ON ONLY outbox.log USING btree (topic, "position");

CREATE INDEX log_archive_topic_position_idx ON outbox.log_archive USING btree (topic, "position");

CREATE INDEX log_by_transaction ON ONLY outbox.log USING btree (transaction_id, "position");

CREATE INDEX log_archive_transaction_id_position_idx ON outbox.log_archive USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_archive_version ON outbox.log_archive USING btree (stream, version);

CREATE UNIQUE INDEX log_audit_from_1048577_id_source_idx ON outbox.log_audit_from_1048577 USING btree (id, source);

CREATE INDEX log_audit_topic_position_idx ON ONLY outbox.log_audit USING btree (topic, "position");

CREATE INDEX log_audit_from_1048577_topic_position_idx ON outbox.log_audit_from_1048577 USING btree (topic, "position");

CREATE INDEX log_audit_transaction_id_position_idx ON ONLY outbox.log_audit USING btree (transaction_id, "position");

CREATE INDEX log_audit_from_1048577_transaction_id_position_idx ON outbox.log_audit_from_1048577 USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_audit_from_15728641_id_source_idx ON outbox.log_audit_from_15728641 USING btree (id, source);

CREATE INDEX log_audit_from_15728641_topic_position_idx ON outbox.log_audit_from_15728641 USING btree (topic, "position");

CREATE INDEX log_audit_from_15728641_transaction_id_position_idx ON outbox.log_audit_from_15728641 USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_audit_from_1_id_source_idx ON outbox.log_audit_from_1 USING btree (id, source);

CREATE INDEX log_audit_from_1_topic_position_idx ON outbox.log_audit_from_1 USING btree (topic, "position");

CREATE INDEX log_audit_from_1_transaction_id_position_idx ON outbox.log_audit_from_1 USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_audit_from_3145729_id_source_idx ON outbox.log_audit_from_3145729 USING btree (id, source);

CREATE INDEX log_audit_from_3145729_topic_position_idx ON outbox.log_audit_from_3145729 USING btree (topic, "position");

CREATE INDEX log_audit_from_3145729_transaction_id_position_idx ON outbox.log_audit_from_3145729 USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_audit_from_7340033_id_source_idx ON outbox.log_audit_from_7340033 USING btree (id, source);

CREATE INDEX log_audit_from_7340033_topic_position_idx ON outbox.log_audit_from_7340033 USING btree (topic, "position");

CREATE INDEX log_audit_from_7340033_transaction_id_position_idx ON outbox.log_audit_from_7340033 USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_durable_event ON outbox.log_durable USING btree (id, source);

CREATE INDEX log_durable_topic_position_idx ON outbox.log_durable USING btree (topic, "position");

CREATE INDEX log_durable_transaction_id_position_idx ON outbox.log_durable USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_standard_from_16515073_id_source_idx ON outbox.log_standard_from_16515073 USING btree (id, source);

CREATE INDEX log_standard_topic_position_idx ON ONLY outbox.log_standard USING btree (topic, "position");

CREATE INDEX log_standard_from_16515073_topic_position_idx ON outbox.log_standard_from_16515073 USING btree (topic, "position");

CREATE INDEX log_standard_transaction_id_position_idx ON ONLY outbox.log_standard USING btree (transaction_id, "position");

CREATE INDEX log_standard_from_16515073_transaction_id_position_idx ON outbox.log_standard_from_16515073 USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_standard_from_1835009_id_source_idx ON outbox.log_standard_from_1835009 USING btree (id, source);

CREATE INDEX log_standard_from_1835009_topic_position_idx ON outbox.log_standard_from_1835009 USING btree (topic, "position");

CREATE INDEX log_standard_from_1835009_transaction_id_position_idx ON outbox.log_standard_from_1835009 USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_standard_from_1_id_source_idx ON outbox.log_standard_from_1 USING btree (id, source);

CREATE INDEX log_standard_from_1_topic_position_idx ON outbox.log_standard_from_1 USING btree (topic, "position");

CREATE INDEX log_standard_from_1_transaction_id_position_idx ON outbox.log_standard_from_1 USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_standard_from_262145_id_source_idx ON outbox.log_standard_from_262145 USING btree (id, source);

CREATE INDEX log_standard_from_262145_topic_position_idx ON outbox.log_standard_from_262145 USING btree (topic, "position");

CREATE INDEX log_standard_from_262145_transaction_id_position_idx ON outbox.log_standard_from_262145 USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_standard_from_33292289_id_source_idx ON outbox.log_standard_from_33292289 USING btree (id, source);

CREATE INDEX log_standard_from_33292289_topic_position_idx ON outbox.log_standard_from_33292289 USING btree (topic, "position");

CREATE INDEX log_standard_from_33292289_transaction_id_position_idx ON outbox.log_standard_from_33292289 USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_standard_from_3932161_id_source_idx ON outbox.log_standard_from_3932161 USING btree (id, source);

CREATE INDEX log_standard_from_3932161_topic_position_idx ON outbox.log_standard_from_3932161 USING btree (topic, "position");

CREATE INDEX log_standard_from_3932161_transaction_id_position_idx ON outbox.log_standard_from_3932161 USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_standard_from_66846721_id_source_idx ON outbox.log_standard_from_66846721 USING btree (id, source);

CREATE INDEX log_standard_from_66846721_topic_position_idx ON outbox.log_standard_from_66846721 USING btree (topic, "position");

CREATE INDEX log_standard_from_66846721_transaction_id_position_idx ON outbox.log_standard_from_66846721 USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_standard_from_786433_id_source_idx ON outbox.log_standard_from_786433 USING btree (id, source);

CREATE INDEX log_standard_from_786433_topic_position_idx ON outbox.log_standard_from_786433 USING btree (topic, "position");

CREATE INDEX log_standard_from_786433_transaction_id_position_idx ON outbox.log_standard_from_786433 USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_standard_from_8126465_id_source_idx ON outbox.log_standard_from_8126465 USING btree (id, source);

CREATE INDEX log_standard_from_8126465_topic_position_idx ON outbox.log_standard_from_8126465 USING btree (topic, "position");

CREATE INDEX log_standard_from_8126465_transaction_id_position_idx ON outbox.log_standard_from_8126465 USING btree (transaction_id, "position");

CREATE INDEX log_stream_category ON outbox.log_stream USING btree (category, "position");

CREATE UNIQUE INDEX log_stream_event ON outbox.log_stream USING btree (id, source);

CREATE INDEX log_stream_position ON outbox.log_stream USING btree ("position") WHERE (stream IS NOT NULL);

CREATE INDEX log_stream_topic_position_idx ON outbox.log_stream USING btree (topic, "position");

CREATE INDEX log_stream_transaction_id_position_idx ON outbox.log_stream USING btree (transaction_id, "position");

CREATE UNIQUE INDEX log_stream_version ON outbox.log_stream USING btree (stream, version);

CREATE INDEX loss_found ON outbox.loss USING btree (found_at);

CREATE INDEX loss_of_stream ON outbox.loss USING btree (topic, partition, number);

CREATE UNIQUE INDEX one_rebuild_at_a_time ON outbox.projection_rebuild USING btree (projection) WHERE (state = ANY (ARRAY['ordered'::text, 'building'::text, 'held'::text]));

CREATE INDEX operation_item_of_letter ON outbox.operation_item USING btree (dead_letter);

CREATE INDEX operation_item_released ON outbox.operation_item USING btree (operation, in_line) WHERE (state = 'released'::text);

CREATE INDEX operation_item_waiting ON outbox.operation_item USING btree (operation, place) WHERE (state = 'waiting'::text);

CREATE INDEX operation_running ON outbox.operation USING btree (consumer, number) WHERE (state = 'running'::text);

CREATE INDEX parked_event_by_recorded_at ON outbox.parked_event USING btree (recorded_at);

CREATE INDEX parked_lane_by_due ON outbox.parked_lane USING btree (consumer, stream, due_at);

CREATE INDEX parked_lane_by_version ON outbox.parked_lane USING btree (consumer, stream) WHERE (state = 'waiting_version'::text);

CREATE INDEX parked_stream_due ON outbox.parked_stream USING btree (subscription, generation, partition, retry_at) WHERE (state = 'retrying'::text);

CREATE INDEX progress_of_stream ON ONLY outbox.progress USING btree (topic, partition, batch_number, "position");

CREATE INDEX progress_from_0_topic_partition_batch_number_position_idx ON outbox.progress_from_0 USING btree (topic, partition, batch_number, "position");

CREATE INDEX progress_from_1835008_topic_partition_batch_number_position_idx ON outbox.progress_from_1835008 USING btree (topic, partition, batch_number, "position");

CREATE INDEX progress_from_262144_topic_partition_batch_number_position_idx ON outbox.progress_from_262144 USING btree (topic, partition, batch_number, "position");

CREATE INDEX progress_from_3932160_topic_partition_batch_number_position_idx ON outbox.progress_from_3932160 USING btree (topic, partition, batch_number, "position");

CREATE INDEX progress_from_786432_topic_partition_batch_number_position_idx ON outbox.progress_from_786432 USING btree (topic, partition, batch_number, "position");

CREATE INDEX refusal_open ON outbox.refusal USING btree (number) WHERE (closed_at IS NULL);

CREATE INDEX reissue_of_stream ON outbox.reissue USING btree (topic, partition, batch_number);

CREATE INDEX reissue_order_of_batch ON outbox.reissue_order USING btree (batch_number) WHERE (batch_number IS NOT NULL);

CREATE INDEX reissue_order_waiting ON outbox.reissue_order USING btree (number) WHERE (state = 'waiting'::text);

CREATE INDEX stream_action_of_stream ON outbox.stream_action USING btree (topic, partition, number);

CREATE INDEX stream_group_of_stream ON outbox.stream_group USING btree (topic, partition, name, number);

CREATE INDEX stream_of_category ON outbox.stream USING btree (category, name);

CREATE INDEX stream_step_buried ON outbox.stream_step USING btree (stream) WHERE (action = 'tombstone'::text);

CREATE INDEX stream_step_of_stream ON outbox.stream_step USING btree (stream, number);

CREATE UNIQUE INDEX subject_key_of_subject ON outbox.subject_key USING btree (subject) WHERE (subject IS NOT NULL);

CREATE INDEX topic_with_partitions ON outbox.topic USING btree (name) WHERE (partitions > 1);

CREATE INDEX trim_floor_of_stream ON outbox.trim_floor USING btree (topic, partition, batch_id, "position");

CREATE INDEX trim_floor_that_lost ON outbox.trim_floor USING btree (topic, partition) INCLUDE (unread) WHERE (unread > 0);

CREATE INDEX unknown_entry_of_event ON outbox.unknown_entry USING btree (event_id);

ALTER INDEX outbox.batch_by_id ATTACH PARTITION outbox.batch_from_0_batch_id_idx;

ALTER INDEX outbox.batch_pkey ATTACH PARTITION outbox.batch_from_0_pkey;

ALTER INDEX outbox.batch_by_id ATTACH PARTITION outbox.batch_from_1835008_batch_id_idx;

ALTER INDEX outbox.batch_pkey ATTACH PARTITION outbox.batch_from_1835008_pkey;

ALTER INDEX outbox.batch_by_id ATTACH PARTITION outbox.batch_from_262144_batch_id_idx;

ALTER INDEX outbox.batch_pkey ATTACH PARTITION outbox.batch_from_262144_pkey;

ALTER INDEX outbox.batch_by_id ATTACH PARTITION outbox.batch_from_3932160_batch_id_idx;

ALTER INDEX outbox.batch_pkey ATTACH PARTITION outbox.batch_from_3932160_pkey;

ALTER INDEX outbox.batch_by_id ATTACH PARTITION outbox.batch_from_786432_batch_id_idx;

ALTER INDEX outbox.batch_pkey ATTACH PARTITION outbox.batch_from_786432_pkey;

ALTER INDEX outbox.log_by_topic ATTACH PARTITION outbox.log_archive_topic_position_idx;

ALTER INDEX outbox.log_by_transaction ATTACH PARTITION outbox.log_archive_transaction_id_position_idx;

ALTER INDEX outbox.log_audit_topic_position_idx ATTACH PARTITION outbox.log_audit_from_1048577_topic_position_idx;

ALTER INDEX outbox.log_audit_transaction_id_position_idx ATTACH PARTITION outbox.log_audit_from_1048577_transaction_id_position_idx;

ALTER INDEX outbox.log_audit_topic_position_idx ATTACH PARTITION outbox.log_audit_from_15728641_topic_position_idx;

ALTER INDEX outbox.log_audit_transaction_id_position_idx ATTACH PARTITION outbox.log_audit_from_15728641_transaction_id_position_idx;

ALTER INDEX outbox.log_audit_topic_position_idx ATTACH PARTITION outbox.log_audit_from_1_topic_position_idx;

ALTER INDEX outbox.log_audit_transaction_id_position_idx ATTACH PARTITION outbox.log_audit_from_1_transaction_id_position_idx;

ALTER INDEX outbox.log_audit_topic_position_idx ATTACH PARTITION outbox.log_audit_from_3145729_topic_position_idx;

ALTER INDEX outbox.log_audit_transaction_id_position_idx ATTACH PARTITION outbox.log_audit_from_3145729_transaction_id_position_idx;

ALTER INDEX outbox.log_audit_topic_position_idx ATTACH PARTITION outbox.log_audit_from_7340033_topic_position_idx;

ALTER INDEX outbox.log_audit_transaction_id_position_idx ATTACH PARTITION outbox.log_audit_from_7340033_transaction_id_position_idx;

ALTER INDEX outbox.log_by_topic ATTACH PARTITION outbox.log_audit_topic_position_idx;

ALTER INDEX outbox.log_by_transaction ATTACH PARTITION outbox.log_audit_transaction_id_position_idx;

ALTER INDEX outbox.log_by_topic ATTACH PARTITION outbox.log_durable_topic_position_idx;

ALTER INDEX outbox.log_by_transaction ATTACH PARTITION outbox.log_durable_transaction_id_position_idx;

ALTER INDEX outbox.log_standard_topic_position_idx ATTACH PARTITION outbox.log_standard_from_16515073_topic_position_idx;

ALTER INDEX outbox.log_standard_transaction_id_position_idx ATTACH PARTITION outbox.log_standard_from_16515073_transaction_id_position_idx;

ALTER INDEX outbox.log_standard_topic_position_idx ATTACH PARTITION outbox.log_standard_from_1835009_topic_position_idx;

ALTER INDEX outbox.log_standard_transaction_id_position_idx ATTACH PARTITION outbox.log_standard_from_1835009_transaction_id_position_idx;

ALTER INDEX outbox.log_standard_topic_position_idx ATTACH PARTITION outbox.log_standard_from_1_topic_position_idx;

ALTER INDEX outbox.log_standard_transaction_id_position_idx ATTACH PARTITION outbox.log_standard_from_1_transaction_id_position_idx;

ALTER INDEX outbox.log_standard_topic_position_idx ATTACH PARTITION outbox.log_standard_from_262145_topic_position_idx;

ALTER INDEX outbox.log_standard_transaction_id_position_idx ATTACH PARTITION outbox.log_standard_from_262145_transaction_id_position_idx;

ALTER INDEX outbox.log_standard_topic_position_idx ATTACH PARTITION outbox.log_standard_from_33292289_topic_position_idx;

ALTER INDEX outbox.log_standard_transaction_id_position_idx ATTACH PARTITION outbox.log_standard_from_33292289_transaction_id_position_idx;

ALTER INDEX outbox.log_standard_topic_position_idx ATTACH PARTITION outbox.log_standard_from_3932161_topic_position_idx;

ALTER INDEX outbox.log_standard_transaction_id_position_idx ATTACH PARTITION outbox.log_standard_from_3932161_transaction_id_position_idx;

ALTER INDEX outbox.log_standard_topic_position_idx ATTACH PARTITION outbox.log_standard_from_66846721_topic_position_idx;

ALTER INDEX outbox.log_standard_transaction_id_position_idx ATTACH PARTITION outbox.log_standard_from_66846721_transaction_id_position_idx;

ALTER INDEX outbox.log_standard_topic_position_idx ATTACH PARTITION outbox.log_standard_from_786433_topic_position_idx;

ALTER INDEX outbox.log_standard_transaction_id_position_idx ATTACH PARTITION outbox.log_standard_from_786433_transaction_id_position_idx;

ALTER INDEX outbox.log_standard_topic_position_idx ATTACH PARTITION outbox.log_standard_from_8126465_topic_position_idx;

ALTER INDEX outbox.log_standard_transaction_id_position_idx ATTACH PARTITION outbox.log_standard_from_8126465_transaction_id_position_idx;

ALTER INDEX outbox.log_by_topic ATTACH PARTITION outbox.log_standard_topic_position_idx;

ALTER INDEX outbox.log_by_transaction ATTACH PARTITION outbox.log_standard_transaction_id_position_idx;

ALTER INDEX outbox.log_by_topic ATTACH PARTITION outbox.log_stream_topic_position_idx;

ALTER INDEX outbox.log_by_transaction ATTACH PARTITION outbox.log_stream_transaction_id_position_idx;

ALTER INDEX outbox.progress_of_stream ATTACH PARTITION outbox.progress_from_0_topic_partition_batch_number_position_idx;

ALTER INDEX outbox.progress_of_stream ATTACH PARTITION outbox.progress_from_1835008_topic_partition_batch_number_position_idx;

ALTER INDEX outbox.progress_of_stream ATTACH PARTITION outbox.progress_from_262144_topic_partition_batch_number_position_idx;

ALTER INDEX outbox.progress_of_stream ATTACH PARTITION outbox.progress_from_3932160_topic_partition_batch_number_position_idx;

ALTER INDEX outbox.progress_of_stream ATTACH PARTITION outbox.progress_from_786432_topic_partition_batch_number_position_idx;

ALTER INDEX outbox.share_pkey ATTACH PARTITION outbox.share_from_0_pkey;

ALTER INDEX outbox.share_pkey ATTACH PARTITION outbox.share_from_1835008_pkey;

ALTER INDEX outbox.share_pkey ATTACH PARTITION outbox.share_from_262144_pkey;

ALTER INDEX outbox.share_pkey ATTACH PARTITION outbox.share_from_3932160_pkey;

ALTER INDEX outbox.share_pkey ATTACH PARTITION outbox.share_from_786432_pkey;

CREATE RULE append AS
    ON INSERT TO outbox.outgoing DO INSTEAD  INSERT INTO outbox.log (retention, topic, key, id, source, type, subject, "time", data_content_type, data_schema, schema_version, correlation_id, causation_id, traceparent, tracestate, extensions, data, data_binary)  SELECT outbox.settled_retention(n.topic) AS settled_retention,
            n.topic,
            n.key,
            COALESCE(n.id, outbox.new_event_id()) AS "coalesce",
            COALESCE(n.source, outbox.settled_source()) AS "coalesce",
            COALESCE(n.type, n.topic) AS "coalesce",
            n.subject,
            n."time",
            COALESCE(n.data_content_type,
                CASE
                    WHEN (n.data IS NOT NULL) THEN 'application/json'::text
                    WHEN (n.data_binary IS NOT NULL) THEN 'application/octet-stream'::text
                    ELSE NULL::text
                END) AS "coalesce",
            n.data_schema,
            n.schema_version,
            n.correlation_id,
            n.causation_id,
            COALESCE(n.traceparent, (n.extensions ->> 'traceparent'::text)) AS "coalesce",
            COALESCE(n.tracestate, (n.extensions ->> 'tracestate'::text)) AS "coalesce",
                CASE
                    WHEN (n.extensions IS NOT NULL) THEN outbox.without_trace(n.extensions)
                    ELSE NULL::json
                END AS "case",
            (n.data)::text AS data,
            n.data_binary
           FROM LATERAL ( SELECT new.id,
                    new.topic,
                    new.key,
                    new.type,
                    new.source,
                    new.subject,
                    new."time",
                    new.data_content_type,
                    new.data_schema,
                    new.schema_version,
                    new.correlation_id,
                    new.causation_id,
                    new.traceparent,
                    new.tracestate,
                    new.extensions,
                    new.data,
                    new.data_binary) n
          WHERE ((((n.topic || COALESCE(n.type, ''::text)) ~ '^[A-Za-z0-9._-]+$'::text) AND (octet_length((n.topic || COALESCE(n.type, ''::text))) <= 200) AND (LEAST((n.key COLLATE "C"), n.topic, n.type, n.source, n.schema_version, n.correlation_id, n.causation_id, n.traceparent, n.tracestate) IS DISTINCT FROM ''::text) AND (pg_column_size(ARRAY[n.key, COALESCE(n.source, outbox.settled_source()), n.schema_version, n.correlation_id, n.causation_id, n.traceparent, n.tracestate]) <= 1024) AND (num_nonnulls(n.subject, n."time", n.data_content_type, n.data_schema, n.extensions) = 0) AND ((n.data IS NULL) OR (n.data_binary IS NULL)) AND (COALESCE(octet_length((n.data)::text), octet_length(n.data_binary), 0) <= outbox.settled_payload_limit())) OR outbox.accepts(n.topic, n.key, COALESCE(n.type, n.topic), COALESCE(n.source, outbox.settled_source()), n.subject, n."time", n.data_content_type, n.data_schema, n.schema_version, n.correlation_id, n.causation_id, COALESCE(n.traceparent, (n.extensions ->> 'traceparent'::text)), COALESCE(n.tracestate, (n.extensions ->> 'tracestate'::text)),
                CASE
                    WHEN (n.extensions IS NOT NULL) THEN outbox.without_trace(n.extensions)
                    ELSE NULL::json
                END, octet_length((n.data)::text), octet_length(n.data_binary), outbox.settled_payload_limit()))
  RETURNING log.id,
    log.topic,
    log.key,
    log.type,
    log.source,
    log.subject,
    log."time",
    log.data_content_type,
    log.data_schema,
    log.schema_version,
    log.correlation_id,
    log.causation_id,
    log.traceparent,
    log.tracestate,
    log.extensions,
    (log.data)::json AS data,
    log.data_binary;

CREATE RULE append AS
    ON INSERT TO outbox.outgoing_if_plain DO INSTEAD  INSERT INTO outbox.log_standard (retention, topic, key, id, source, type, data_content_type, schema_version, correlation_id, causation_id, traceparent, tracestate, data)  SELECT 'standard',
            n.topic,
            n.key,
            n.id,
            COALESCE(n.source, outbox.settled_source()) AS "coalesce",
            COALESCE(n.type, n.topic) AS "coalesce",
            'application/json',
            n.schema_version,
            n.correlation_id,
            n.causation_id,
            n.traceparent,
            n.tracestate,
            (n.data)::text AS data
           FROM LATERAL ( SELECT new.id,
                    new.topic,
                    new.key,
                    new.type,
                    new.source,
                    new.schema_version,
                    new.correlation_id,
                    new.causation_id,
                    new.traceparent,
                    new.tracestate,
                    new.data) n
          WHERE
                CASE
                    WHEN ((n.id IS NOT NULL) AND ((n.topic || COALESCE(n.type, ''::text)) ~ '^[A-Za-z0-9._-]+$'::text) AND (octet_length((n.topic || COALESCE(n.type, ''::text))) <= 200) AND (((n.key = ''::text) OR (octet_length(n.key) > 1024)) IS NOT TRUE) AND (((COALESCE(n.type, n.source, n.schema_version, n.correlation_id, n.causation_id, n.traceparent, n.tracestate) IS NULL) AND (octet_length(outbox.settled_source()) <= 1024)) OR ((LEAST((n.topic COLLATE "C"), n.type, n.source, n.schema_version, n.correlation_id, n.causation_id, n.traceparent, n.tracestate) <> ''::text) AND (pg_column_size(ARRAY[COALESCE(n.source, outbox.settled_source()), n.schema_version, n.correlation_id, n.causation_id, n.traceparent, n.tracestate]) <= 1024))) AND (octet_length((n.data)::text) <= outbox.settled_payload_limit()) AND (outbox.settled_retention(n.topic) = 'standard'::text)) THEN ((current_setting('outbox.notify'::text, true) = 'off'::text) OR pg_try_advisory_xact_lock_shared('122550254464888'::bigint) OR outbox.ring_bell())
                    ELSE NULL::boolean
                END;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.batch FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.category FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.consumer_audit FOR EACH ROW EXECUTE FUNCTION outbox.refuse_rewrite();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.era_share FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.era_start FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.event_tag FOR EACH ROW EXECUTE FUNCTION outbox.refuse_tag_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.hole_pass FOR EACH ROW EXECUTE FUNCTION outbox.refuse_rewrite();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.log FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.loss FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.progress FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.reissue FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.removed FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.share FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.stream FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.stream_action FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.stream_group FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.stream_step FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.subject_step FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.subscription_action FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.timeline FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.topic_layout FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON outbox.trim_floor FOR EACH ROW EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only_as_a_whole BEFORE TRUNCATE ON outbox.category FOR EACH STATEMENT EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only_as_a_whole BEFORE TRUNCATE ON outbox.event_tag FOR EACH STATEMENT EXECUTE FUNCTION outbox.refuse_tag_change();

CREATE TRIGGER append_only_as_a_whole BEFORE TRUNCATE ON outbox.log FOR EACH STATEMENT EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only_as_a_whole BEFORE TRUNCATE ON outbox.log_archive FOR EACH STATEMENT EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only_as_a_whole BEFORE TRUNCATE ON outbox.log_stream FOR EACH STATEMENT EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only_as_a_whole BEFORE TRUNCATE ON outbox.removed FOR EACH STATEMENT EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only_as_a_whole BEFORE TRUNCATE ON outbox.stream FOR EACH STATEMENT EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only_as_a_whole BEFORE TRUNCATE ON outbox.stream_step FOR EACH STATEMENT EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER append_only_as_a_whole BEFORE TRUNCATE ON outbox.subject_step FOR EACH STATEMENT EXECUTE FUNCTION outbox.refuse_change();

CREATE TRIGGER checkpoint_rises BEFORE UPDATE ON outbox.subscription_checkpoint FOR EACH ROW WHEN (((new.era < old.era) OR ((new.era = old.era) AND (pg_snapshot_xmax(new.done) < pg_snapshot_xmax(old.done))))) EXECUTE FUNCTION outbox.refuse_return();

CREATE TRIGGER doorbell AFTER INSERT ON outbox.log FOR EACH STATEMENT WHEN (outbox.must_ring()) EXECUTE FUNCTION outbox.ring();

CREATE TRIGGER entry_stays BEFORE UPDATE OF consumer, stream, entry_id, source, id, entry_fields ON outbox.dead_letter FOR EACH ROW WHEN (((((((old.consumer IS DISTINCT FROM new.consumer) OR (old.stream IS DISTINCT FROM new.stream)) OR (old.entry_id IS DISTINCT FROM new.entry_id)) OR (old.source IS DISTINCT FROM new.source)) OR (old.id IS DISTINCT FROM new.id)) OR (old.entry_fields IS DISTINCT FROM new.entry_fields))) EXECUTE FUNCTION outbox.keep_entry();

CREATE TRIGGER epoch_rises BEFORE UPDATE ON outbox.consumer_lease FOR EACH ROW WHEN (((new.epoch < old.epoch) OR ((new.holder IS DISTINCT FROM old.holder) AND (new.holder IS NOT NULL) AND (new.epoch = old.epoch)))) EXECUTE FUNCTION outbox.refuse_fall();

CREATE TRIGGER epoch_rises BEFORE UPDATE ON outbox.lease FOR EACH ROW EXECUTE FUNCTION outbox.keep_epoch_rising();

CREATE TRIGGER epoch_rises BEFORE UPDATE ON outbox.subscription_lease FOR EACH ROW WHEN (((new.epoch < old.epoch) OR ((new.holder IS DISTINCT FROM old.holder) AND (new.holder IS NOT NULL) AND (new.epoch = old.epoch)))) EXECUTE FUNCTION outbox.refuse_return();

CREATE TRIGGER keep_above_floor BEFORE UPDATE ON outbox.inbox_settings FOR EACH ROW EXECUTE FUNCTION outbox.refuse_low_keep();

CREATE CONSTRAINT TRIGGER keep_era_starts AFTER INSERT ON outbox.era DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.batch_number > 0)) EXECUTE FUNCTION outbox.keep_era_starts();

CREATE TRIGGER keeps_its_row BEFORE DELETE ON outbox.settings FOR EACH ROW EXECUTE FUNCTION outbox.refuse_no_settings();

CREATE TRIGGER keeps_its_row_as_a_whole BEFORE TRUNCATE ON outbox.settings FOR EACH STATEMENT EXECUTE FUNCTION outbox.refuse_no_settings();

CREATE TRIGGER knows_eras BEFORE UPDATE ON outbox.lease FOR EACH ROW EXECUTE FUNCTION outbox.refuse_without_eras();

CREATE TRIGGER layout_grows BEFORE INSERT ON outbox.topic_layout FOR EACH ROW EXECUTE FUNCTION outbox.keep_layout_growing();

CREATE TRIGGER master_is_not_retired BEFORE INSERT OR UPDATE OF wrapped_key, master_key ON outbox.subject_key FOR EACH ROW WHEN ((new.wrapped_key IS NOT NULL)) EXECUTE FUNCTION outbox.refuse_retired_master();

CREATE CONSTRAINT TRIGGER no_early_commit AFTER INSERT OR UPDATE ON outbox.inbox DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((NOT (current_setting('outbox.watched'::text, true) IS DISTINCT FROM new.entry_id))) EXECUTE FUNCTION outbox.refuse_early_commit();

CREATE CONSTRAINT TRIGGER no_early_commit AFTER INSERT OR UPDATE ON outbox.inbox_foreign DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((NOT (current_setting('outbox.watched'::text, true) IS DISTINCT FROM new.entry_id))) EXECUTE FUNCTION outbox.refuse_early_commit();

CREATE TRIGGER one_chain BEFORE INSERT ON outbox.batch FOR EACH ROW EXECUTE FUNCTION outbox.keep_one_chain();

CREATE TRIGGER outcome_stays BEFORE UPDATE ON outbox.inbox FOR EACH ROW WHEN (((old.outcome = 'applied'::text) AND (old.xmin <> (pg_current_xact_id())::xid))) EXECUTE FUNCTION outbox.keep_outcome();

CREATE TRIGGER outcome_stays BEFORE UPDATE ON outbox.inbox_foreign FOR EACH ROW WHEN (((old.outcome = 'applied'::text) AND (old.xmin <> (pg_current_xact_id())::xid))) EXECUTE FUNCTION outbox.keep_outcome();

CREATE TRIGGER partitions_are_possible BEFORE INSERT ON outbox.topic FOR EACH ROW WHEN ((new.partitions <> 1)) EXECUTE FUNCTION outbox.keep_partitions_growing();

CREATE TRIGGER partitions_grow BEFORE UPDATE OF partitions ON outbox.topic FOR EACH ROW WHEN ((new.partitions IS DISTINCT FROM old.partitions)) EXECUTE FUNCTION outbox.keep_partitions_growing();

CREATE TRIGGER passed_rises BEFORE UPDATE ON outbox.consumer_stream FOR EACH ROW WHEN ((ROW(new.passed_batch, new.passed_position) < ROW(old.passed_batch, old.passed_position))) EXECUTE FUNCTION outbox.refuse_fall();

CREATE TRIGGER refuse_uncounted BEFORE INSERT ON outbox.reissue FOR EACH ROW EXECUTE FUNCTION outbox.refuse_uncounted();

CREATE TRIGGER settles AFTER INSERT OR DELETE ON outbox.settings FOR EACH ROW EXECUTE FUNCTION outbox.follow_settled();

ALTER TABLE outbox.settings ENABLE ALWAYS TRIGGER settles;

CREATE TRIGGER settles AFTER INSERT ON outbox.topic FOR EACH ROW WHEN ((new.retention <> 'standard'::text)) EXECUTE FUNCTION outbox.follow_settled();

ALTER TABLE outbox.topic ENABLE ALWAYS TRIGGER settles;

CREATE TRIGGER settles_changes AFTER UPDATE ON outbox.settings FOR EACH ROW WHEN (((new.source IS DISTINCT FROM old.source) OR (new.payload_limit_bytes IS DISTINCT FROM old.payload_limit_bytes))) EXECUTE FUNCTION outbox.follow_settled();

ALTER TABLE outbox.settings ENABLE ALWAYS TRIGGER settles_changes;

CREATE TRIGGER settles_changes AFTER UPDATE ON outbox.topic FOR EACH ROW WHEN (((new.name IS DISTINCT FROM old.name) OR (new.retention IS DISTINCT FROM old.retention))) EXECUTE FUNCTION outbox.follow_settled();

ALTER TABLE outbox.topic ENABLE ALWAYS TRIGGER settles_changes;

CREATE TRIGGER settles_less AFTER DELETE ON outbox.topic FOR EACH ROW WHEN ((old.retention <> 'standard'::text)) EXECUTE FUNCTION outbox.follow_settled();

ALTER TABLE outbox.topic ENABLE ALWAYS TRIGGER settles_less;

CREATE TRIGGER settles_nothing AFTER TRUNCATE ON outbox.settings FOR EACH STATEMENT EXECUTE FUNCTION outbox.follow_settled();

ALTER TABLE outbox.settings ENABLE ALWAYS TRIGGER settles_nothing;

CREATE TRIGGER settles_nothing AFTER TRUNCATE ON outbox.topic FOR EACH STATEMENT EXECUTE FUNCTION outbox.follow_settled();

ALTER TABLE outbox.topic ENABLE ALWAYS TRIGGER settles_nothing;

CREATE TRIGGER state_advances BEFORE UPDATE ON outbox.dead_letter FOR EACH ROW WHEN (((old.state <> new.state) AND ((((((((old.state <> 'dead'::text) OR (new.state <> 'redriving'::text)) AND ((old.state <> 'dead'::text) OR (new.state <> 'discarded'::text))) AND ((old.state <> 'dead'::text) OR (new.state <> 'applied'::text))) AND ((old.state <> 'redriving'::text) OR (new.state <> 'applied'::text))) AND ((old.state <> 'redriving'::text) OR (new.state <> 'dead'::text))) AND ((old.state <> 'applied'::text) OR (new.state <> 'dead'::text))) AND ((old.state <> 'discarded'::text) OR (new.state <> 'dead'::text))))) EXECUTE FUNCTION outbox.refuse_transition('letter');

CREATE TRIGGER state_advances BEFORE UPDATE ON outbox.operation FOR EACH ROW WHEN (((old.state <> new.state) AND ((((old.state <> 'running'::text) OR (new.state <> 'cancelled'::text)) AND ((old.state <> 'running'::text) OR (new.state <> 'finished'::text))) AND ((old.state <> 'cancelled'::text) OR (new.state <> 'running'::text))))) EXECUTE FUNCTION outbox.refuse_transition('operation');

CREATE TRIGGER state_advances BEFORE UPDATE ON outbox.operation_item FOR EACH ROW WHEN ((((old.state <> new.state) AND (old.state <> 'released'::text) AND (((old.state <> 'waiting'::text) OR (new.state <> 'released'::text)) AND ((old.state <> 'waiting'::text) OR (new.state <> 'dropped'::text)))) OR ((old.state = 'released'::text) AND (new.state = 'waiting'::text)))) EXECUTE FUNCTION outbox.refuse_transition('item');

CREATE TRIGGER tags_come AFTER INSERT ON outbox.log_stream FOR EACH ROW WHEN ((new.tags IS NOT NULL)) EXECUTE FUNCTION outbox.add_tags();

CREATE TRIGGER tags_go AFTER DELETE ON outbox.log_archive FOR EACH ROW WHEN ((old.tags IS NOT NULL)) EXECUTE FUNCTION outbox.drop_tags();

CREATE TRIGGER tags_go AFTER DELETE ON outbox.log_stream FOR EACH ROW WHEN ((old.tags IS NOT NULL)) EXECUTE FUNCTION outbox.drop_tags();

ALTER TABLE ONLY outbox.operation_item
    ADD CONSTRAINT operation_item_dead_letter_fkey FOREIGN KEY (dead_letter) REFERENCES outbox.dead_letter(number);

ALTER TABLE ONLY outbox.operation_item
    ADD CONSTRAINT operation_item_operation_fkey FOREIGN KEY (operation) REFERENCES outbox.operation(number);

ALTER TABLE ONLY outbox.parked_stream
    ADD CONSTRAINT parked_stream_subscription_generation_fkey FOREIGN KEY (subscription, generation) REFERENCES outbox.subscription(name, generation) ON DELETE CASCADE;

ALTER TABLE ONLY outbox.projection_rebuild
    ADD CONSTRAINT projection_rebuild_projection_fkey FOREIGN KEY (projection) REFERENCES outbox.projection(name);

ALTER TABLE ONLY outbox.refusal
    ADD CONSTRAINT refusal_recovery_fkey FOREIGN KEY (recovery) REFERENCES outbox.recovery(number);

ALTER TABLE ONLY outbox.subscription_checkpoint
    ADD CONSTRAINT subscription_checkpoint_subscription_generation_fkey FOREIGN KEY (subscription, generation) REFERENCES outbox.subscription(name, generation) ON DELETE CASCADE;

ALTER TABLE ONLY outbox.subscription_lease
    ADD CONSTRAINT subscription_lease_subscription_generation_fkey FOREIGN KEY (subscription, generation) REFERENCES outbox.subscription(name, generation) ON DELETE CASCADE;

ALTER TABLE ONLY outbox.subscription_member
    ADD CONSTRAINT subscription_member_subscription_generation_fkey FOREIGN KEY (subscription, generation) REFERENCES outbox.subscription(name, generation) ON DELETE CASCADE;

ALTER TABLE ONLY outbox.topic
    ADD CONSTRAINT topic_retention_fkey FOREIGN KEY (retention) REFERENCES outbox.retention_class(name);

ALTER TABLE ONLY outbox.unknown_entry
    ADD CONSTRAINT unknown_entry_recovery_fkey FOREIGN KEY (recovery) REFERENCES outbox.recovery(number);

GRANT USAGE ON SCHEMA outbox TO outbox_producer;
GRANT USAGE ON SCHEMA outbox TO outbox_relay;
GRANT ALL ON SCHEMA outbox TO outbox_maintainer;
GRANT USAGE ON SCHEMA outbox TO outbox_consumer;
GRANT USAGE ON SCHEMA outbox TO outbox_observer;
GRANT USAGE ON SCHEMA outbox TO outbox_reader;
GRANT USAGE ON SCHEMA outbox TO outbox_subscriber;
GRANT USAGE ON SCHEMA outbox TO outbox_operator;

GRANT USAGE ON SCHEMA outbox_ops TO outbox_observer;
GRANT USAGE ON SCHEMA outbox_ops TO outbox_relay;
GRANT ALL ON SCHEMA outbox_ops TO outbox_maintainer;
GRANT USAGE ON SCHEMA outbox_ops TO outbox_operator;
GRANT USAGE ON SCHEMA outbox_ops TO outbox_reader;
GRANT USAGE ON SCHEMA outbox_ops TO outbox_consumer;

REVOKE ALL ON FUNCTION outbox.accept(n bigint, problem text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.accepts(topic text, key text, type text, source text, subject text, "time" timestamp with time zone, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data_bytes integer, binary_bytes integer, payload_limit_bytes integer) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.accepts(topic text, key text, type text, source text, subject text, "time" timestamp with time zone, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data_bytes integer, binary_bytes integer, payload_limit_bytes integer) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.add_inbox_day(moment timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.add_inbox_day(moment timestamp with time zone) TO outbox_consumer;

REVOKE ALL ON FUNCTION outbox.add_tags() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.append_event(id uuid, topic text, key text, type text, source text, subject text, "time" timestamp with time zone, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data json, data_binary bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.append_event(id uuid, topic text, key text, type text, source text, subject text, "time" timestamp with time zone, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data json, data_binary bytea) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.append(topic text, data json, key text, type text, source text, subject text, id uuid, "time" timestamp with time zone, extensions json, correlation_id text, causation_id text, schema_version text, data_schema text, data_content_type text, data_binary bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.append(topic text, data json, key text, type text, source text, subject text, id uuid, "time" timestamp with time zone, extensions json, correlation_id text, causation_id text, schema_version text, data_schema text, data_content_type text, data_binary bytea) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.append_batch(ids uuid[], topics text[], keys text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[]) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.append_batch(ids uuid[], topics text[], keys text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[]) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.append_if(stream text, expected bigint, events json, condition json, cursor text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.append_if(stream text, expected bigint, events json, condition json, cursor text) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.append_many(streams text[], expected bigint[], numbers integer[], ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.append_stored(stream text, expected bigint, id uuid, topic text, type text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, data json) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.append_stored(stream text, expected bigint, id uuid, topic text, type text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, data json) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.append_to_stream(stream text, expected bigint, events json) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.append_to_stream(stream text, expected bigint, events json) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.append_to_streams(streams text[], expected bigint[], numbers integer[], ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.append_to_streams(streams text[], expected bigint[], numbers integer[], ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[]) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.append_to_streams_if(streams text[], expected bigint[], numbers integer[], ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[], condition json, cursor text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.append_to_streams_if(streams text[], expected bigint[], numbers integer[], ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamp with time zone[], data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[], condition json, cursor text) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.archive_stream(stream text, through bigint, reason text, max integer, OUT events bigint, OUT finished boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.backlog() FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.backlog() TO outbox_observer;
GRANT ALL ON FUNCTION outbox.backlog() TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.begin_to_settle() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.behind_entry(topic text, partition integer, batch_id bigint, "position" bigint, cut_through bigint, OUT passed_snapshots pg_snapshot[], OUT passed_positions bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.behind_entry(topic text, partition integer, batch_id bigint, "position" bigint, cut_through bigint, OUT passed_snapshots pg_snapshot[], OUT passed_positions bigint[]) TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.behind_unheld(topic text, partition integer, batch_id bigint, cut_through bigint, OUT passed_snapshots pg_snapshot[], OUT passed_positions bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.cancel_operation(number bigint, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.cancel_operation(number bigint, reason text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.cancel_rebuild(projection text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.cancel_rebuild(projection text, reason text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.category_of(stream text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.category_of(stream text) TO outbox_producer;
GRANT ALL ON FUNCTION outbox.category_of(stream text) TO outbox_reader;

REVOKE ALL ON FUNCTION outbox.causes() FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.causes() TO outbox_observer;
GRANT ALL ON FUNCTION outbox.causes() TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.claim_stream(consumer text, stream text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.claim_stream(consumer text, stream text, reason text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.condition_filter(condition json) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.condition_items(condition json) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.count_finished(consumer text, streams text[], after_batch numeric, after_position numeric) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.count_finished(consumer text, streams text[], after_batch numeric, after_position numeric) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.cursor_snapshot(cursor text, OUT snapshot pg_snapshot, OUT own xid8, OUT own_through bigint, OUT era_floor bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.cursor_snapshot(cursor text, OUT snapshot pg_snapshot, OUT own xid8, OUT own_through bigint, OUT era_floor bigint) TO outbox_reader;

REVOKE ALL ON FUNCTION outbox.cursor_text(era integer, system_identifier bigint, filter text, above bigint, done pg_snapshot, own xid8, own_through bigint, backward boolean, goal pg_snapshot, goal_own xid8, floor bigint, through bigint, place bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.dead_letter_predicate(filter jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.dead_letter_predicate(filter jsonb) TO outbox_consumer;
GRANT ALL ON FUNCTION outbox.dead_letter_predicate(filter jsonb) TO outbox_observer;
GRANT ALL ON FUNCTION outbox.dead_letter_predicate(filter jsonb) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.discard_dead_letters(filter jsonb, reason text, all_of_them boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.discard_dead_letters(filter jsonb, reason text, all_of_them boolean) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.drain_seized(consumer text, stream text, epoch bigint, OUT passed_batch numeric, OUT passed_position numeric) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.drain_seized(consumer text, stream text, epoch bigint, OUT passed_batch numeric, OUT passed_position numeric) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.drop_events(stream_name text, stream bigint, through bigint, action text, reason text, max integer, OUT events bigint, OUT finished boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.drop_tags() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.edit_dead_letter(number bigint, data json, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.edit_dead_letter(number bigint, data json, reason text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.ensure_inbox_day(moment timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.ensure_inbox_day(moment timestamp with time zone) TO outbox_consumer;

REVOKE ALL ON FUNCTION outbox.entry_is_after(entry text, batch numeric, "position" numeric) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.expect_count(stream text, wanted bigint, got bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.find_appended(stream text, ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.find_appended(stream text, ids uuid[]) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.find_finished(consumer text, streams text[], id text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.find_finished(consumer text, streams text[], id text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.find_unseen(condition json, seen pg_snapshot, own xid8, own_through bigint, era_floor bigint, OUT "position" bigint, OUT type text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.find_untagged() FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.find_untagged() TO outbox_reader;

REVOKE ALL ON FUNCTION outbox.floor_of_new(done pg_snapshot, above bigint, through bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.follow_settled() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.forget_consumer(consumer text, reason text, give_up boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.forget_consumer(consumer text, reason text, give_up boolean) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.forget_events(consumer text, streams text[], epochs bigint[], after_batch numeric, after_position numeric, name text, first_page bigint, pages bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.forget_events(consumer text, streams text[], epochs bigint[], after_batch numeric, after_position numeric, name text, first_page bigint, pages bigint) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.forget_foreign(most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.forget_foreign(most integer) TO outbox_consumer;

REVOKE ALL ON FUNCTION outbox.forget_group(topic text, name text, reason text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.forget_inbox(most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.forget_inbox(most integer) TO outbox_consumer;

REVOKE ALL ON FUNCTION outbox.forget_keyed(most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.forget_keyed(most integer) TO outbox_consumer;

REVOKE ALL ON FUNCTION outbox.forget_subject(subject text, reason text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.give_back(consumer text, sources text[], ids text[], recorded timestamp with time zone[], topic text, identities bytea[]) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.give_back(consumer text, sources text[], ids text[], recorded timestamp with time zone[], topic text, identities bytea[]) TO outbox_consumer;

REVOKE ALL ON FUNCTION outbox.give_up_waiting(consumer text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.groups_of(topic text, partition integer) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.groups_of(topic text, partition integer) TO outbox_relay;
GRANT ALL ON FUNCTION outbox.groups_of(topic text, partition integer) TO outbox_observer;

REVOKE ALL ON FUNCTION outbox.history_refusal() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.hold_boundary(streams text[], expected bigint[], ids uuid[], tags text[], condition json, cursor text, OUT "position" bigint, OUT type text, OUT versions bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.hold_recovery(recovery bigint, epoch bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.hold_stream(stream text, may_make boolean, OUT id bigint, OUT category integer, OUT version bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.hold_subject_key(subject text, proposed_id uuid, proposed_key bytea, proposed_master text, OUT id uuid, OUT wrapped_key bytea, OUT master_key text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.hold_subject_key(subject text, proposed_id uuid, proposed_key bytea, proposed_master text, OUT id uuid, OUT wrapped_key bytea, OUT master_key text) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.hold_tags(kept text[], watched text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.hold_to_keep(stream text, reason text, max integer, OUT id bigint, OUT version bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.hold_topics(stream bigint, first bigint, last bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.inbox_day_is_closed(day date) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.inbox_day_is_over(day date, name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.inbox_days() FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.inbox_days() TO outbox_consumer;
GRANT ALL ON FUNCTION outbox.inbox_days() TO outbox_observer;
GRANT ALL ON FUNCTION outbox.inbox_days() TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.inbox_floor(of_consumer text, OUT floor interval, OUT reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.inbox_floor(of_consumer text, OUT floor interval, OUT reason text) TO outbox_consumer;
GRANT ALL ON FUNCTION outbox.inbox_floor(of_consumer text, OUT floor interval, OUT reason text) TO outbox_observer;
GRANT ALL ON FUNCTION outbox.inbox_floor(of_consumer text, OUT floor interval, OUT reason text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.inbox_kept() FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.inbox_kept() TO outbox_consumer;
GRANT ALL ON FUNCTION outbox.inbox_kept() TO outbox_observer;
GRANT ALL ON FUNCTION outbox.inbox_kept() TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.inbox_needed(of_consumer text, OUT consumer text, OUT since timestamp with time zone, OUT why text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.inbox_needed(of_consumer text, OUT consumer text, OUT since timestamp with time zone, OUT why text) TO outbox_consumer;
GRANT ALL ON FUNCTION outbox.inbox_needed(of_consumer text, OUT consumer text, OUT since timestamp with time zone, OUT why text) TO outbox_observer;
GRANT ALL ON FUNCTION outbox.inbox_needed(of_consumer text, OUT consumer text, OUT since timestamp with time zone, OUT why text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.inbox_passed_until(of_consumer text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.inbox_passed_until(of_consumer text) TO outbox_consumer;
GRANT ALL ON FUNCTION outbox.inbox_passed_until(of_consumer text) TO outbox_observer;
GRANT ALL ON FUNCTION outbox.inbox_passed_until(of_consumer text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.inbox_tables() FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.inbox_tables() TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.is_buried(stream bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.is_buried(stream bigint) TO outbox_reader;

REVOKE ALL ON FUNCTION outbox.is_named_by_step(stream bigint, version bigint, actions text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.is_settled(name text, expression text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.is_still_measured(topic text, measured pg_snapshot) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.is_still_measured(topic text, measured pg_snapshot) TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.keep_entry() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.keep_epoch_rising() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.keep_era_starts() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.keep_layout_growing() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.keep_misnamed(told json) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.keep_misnamed(told json) TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.keep_one_chain() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.keep_outcome() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.keep_partitions_growing() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.keep_seized(consumer text, streams text[], epochs bigint[], lease interval) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.keep_seized(consumer text, streams text[], epochs bigint[], lease interval) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.keep_snapshot(stream text, shape text, shape_version integer, begins bigint, version bigint, event uuid, state text, digest bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.keep_snapshot(stream text, shape text, shape_version integer, begins bigint, version bigint, event uuid, state text, digest bytea) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.key_number(key text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.lay_pieces(parent regclass, first bigint, width bigint, pieces integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.layouts_in_force() FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.layouts_in_force() TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.leaving_open(snapshot pg_snapshot, transaction xid8) FROM PUBLIC;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE outbox.parked_lane TO outbox_consumer;

REVOKE ALL ON FUNCTION outbox.let_lane_go_on(line outbox.parked_lane, is_free boolean, place bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.locate_entry(topic text, partition integer, batch_id bigint, "position" bigint, OUT number bigint, OUT base pg_snapshot, OUT base_number bigint, OUT passed_snapshots pg_snapshot[], OUT passed_positions bigint[], OUT accepted_in integer) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.locate_entry(topic text, partition integer, batch_id bigint, "position" bigint, OUT number bigint, OUT base pg_snapshot, OUT base_number bigint, OUT passed_snapshots pg_snapshot[], OUT passed_positions bigint[], OUT accepted_in integer) TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.master_keys() FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.master_keys() TO outbox_observer;

REVOKE ALL ON FUNCTION outbox.may_see_keys() FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.may_see_keys() TO outbox_consumer;
GRANT ALL ON FUNCTION outbox.may_see_keys() TO outbox_observer;
GRANT ALL ON FUNCTION outbox.may_see_keys() TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.need_of(topics text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.need_settings() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.new_event_id() FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.new_event_id() TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.new_of_categories(categories text[], after bigint, through bigint, first xid8, beyond bigint, goal pg_snapshot, max bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.new_of_categories(categories text[], after bigint, through bigint, first xid8, beyond bigint, goal pg_snapshot, max bigint) TO outbox_subscriber;

REVOKE ALL ON FUNCTION outbox.newest_cursor() FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.newest_cursor() TO outbox_reader;

REVOKE ALL ON FUNCTION outbox.note_removed(stream bigint, first bigint, last bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.open_era(recovery bigint, epoch bigint, above_batch_id bigint, above_position bigint, streams jsonb, OUT era integer, OUT batch_number bigint, OUT batch_id bigint, OUT events bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.order_rebuild(projection text, reason text, accept_differences boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.order_rebuild(projection text, reason text, accept_differences boolean) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.order_reissue(topic text, partition integer, from_place text, to_place text, is_preview boolean, reason text) FROM PUBLIC;

GRANT USAGE ON SEQUENCE outbox.parked_place TO outbox_consumer;

GRANT SELECT,INSERT ON TABLE outbox.dead_letter TO outbox_consumer;
GRANT SELECT ON TABLE outbox.dead_letter TO outbox_operator;

GRANT UPDATE(error_class) ON TABLE outbox.dead_letter TO outbox_consumer;

GRANT UPDATE(error) ON TABLE outbox.dead_letter TO outbox_consumer;

GRANT UPDATE(attempts) ON TABLE outbox.dead_letter TO outbox_consumer;

GRANT UPDATE(dead_at) ON TABLE outbox.dead_letter TO outbox_consumer;

GRANT UPDATE(place) ON TABLE outbox.dead_letter TO outbox_consumer;

GRANT UPDATE(state) ON TABLE outbox.dead_letter TO outbox_consumer;

GRANT UPDATE(error_kind) ON TABLE outbox.dead_letter TO outbox_consumer;

GRANT UPDATE(fingerprint) ON TABLE outbox.dead_letter TO outbox_consumer;

GRANT UPDATE(history) ON TABLE outbox.dead_letter TO outbox_consumer;

GRANT UPDATE(redrives) ON TABLE outbox.dead_letter TO outbox_consumer;

GRANT UPDATE(changed_at) ON TABLE outbox.dead_letter TO outbox_consumer;

REVOKE ALL ON FUNCTION outbox.outcome_of(letter outbox.dead_letter) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.owes_of_earlier_layout(topic text, partition integer) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.owes_of_earlier_layout(topic text, partition integer) TO outbox_relay;
GRANT ALL ON FUNCTION outbox.owes_of_earlier_layout(topic text, partition integer) TO outbox_observer;

REVOKE ALL ON FUNCTION outbox.parse_cursor(cursor text, OUT era integer, OUT system_identifier bigint, OUT filter text, OUT above bigint, OUT done pg_snapshot, OUT own xid8, OUT own_through bigint, OUT backward boolean, OUT goal pg_snapshot, OUT goal_own xid8, OUT floor bigint, OUT through bigint, OUT place bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.partition_of(key text, partitions integer) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.partition_of(key text, partitions integer) TO outbox_producer;
GRANT ALL ON FUNCTION outbox.partition_of(key text, partitions integer) TO outbox_relay;
GRANT ALL ON FUNCTION outbox.partition_of(key text, partitions integer) TO outbox_observer;

REVOKE ALL ON FUNCTION outbox.partition_shares(xmax text, open text[], layouts jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.partition_shares(xmax text, open text[], layouts jsonb) TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.partition_shares(xmax text, open text[], layouts jsonb, floor bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.partition_shares(xmax text, open text[], layouts jsonb, floor bigint) TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.partition_shares(xmax text, open text[], layouts jsonb, floor bigint, far bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.partition_shares(xmax text, open text[], layouts jsonb, floor bigint, far bigint) TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.pass_hole(consumer text, stream text, entry_id text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.pass_hole(consumer text, stream text, entry_id text, reason text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.pause_consumer(consumer text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.pause_consumer(consumer text, reason text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.pause_subscription(name text, reason text, generation integer) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.pause_subscription(name text, reason text, generation integer) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.place_of(place text, OUT batch_id bigint, OUT "position" bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.preview_redrive(filter jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.preview_redrive(filter jsonb) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.preview_seek(consumer text, streams text[], OUT is_known boolean, OUT forgotten_until timestamp with time zone, OUT parked_keys bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.preview_seek(consumer text, streams text[], OUT is_known boolean, OUT forgotten_until timestamp with time zone, OUT parked_keys bigint) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.put_back(letter_number bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.read_events(cursor text, categories text[], types text[], until timestamp with time zone, above bigint, backward boolean, max integer, max_bytes bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.read_events(cursor text, categories text[], types text[], until timestamp with time zone, above bigint, backward boolean, max integer, max_bytes bigint) TO outbox_reader;

REVOKE ALL ON FUNCTION outbox.read_snapshot(stream text, shape text, shape_version integer) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.read_snapshot(stream text, shape text, shape_version integer) TO outbox_reader;

REVOKE ALL ON FUNCTION outbox.read_stream(stream text, after bigint, max integer) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.read_stream(stream text, after bigint, max integer) TO outbox_reader;

REVOKE ALL ON FUNCTION outbox.read_subject_keys(ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.read_subject_keys(ids uuid[]) TO outbox_reader;
GRANT ALL ON FUNCTION outbox.read_subject_keys(ids uuid[]) TO outbox_subscriber;

REVOKE ALL ON FUNCTION outbox.read_tagged(condition json, cursor text, max integer, max_bytes bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.read_tagged(condition json, cursor text, max integer, max_bytes bigint) TO outbox_reader;

REVOKE ALL ON FUNCTION outbox.redrivable(filter jsonb) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.redrive(filter jsonb, reason text, rate double precision, all_of_them boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.redrive(filter jsonb, reason text, rate double precision, all_of_them boolean) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.refusal(topic text, key text, type text, source text, subject text, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data_bytes integer, binary_bytes integer, payload_limit_bytes integer) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.refusal(topic text, key text, type text, source text, subject text, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data_bytes integer, binary_bytes integer, payload_limit_bytes integer) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.refuse_change() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_early_commit() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_everything(filter jsonb, all_of_them boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_fall() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_low_keep() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_no_settings() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_operation(number bigint, needed text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_retired_master() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_return() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_rewrite() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_several(consumers text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_tag_change() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_to_keep(reason text, max integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_transition() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_uncounted() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_unpublished(stream_name text, stream bigint, first bigint, last bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_without_eras() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.refuse_without_reason(reason text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.release_rebuild(projection text, reason text, accept_differences boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.release_rebuild(projection text, reason text, accept_differences boolean) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.release_redrive_items(operation bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.release_redrive_items(operation bigint) TO outbox_consumer;

REVOKE ALL ON FUNCTION outbox.release_seized(consumer text, streams text[], epochs bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.release_seized(consumer text, streams text[], epochs bigint[]) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.remember_dead(letter outbox.dead_letter) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.removal_lock(topic text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.removal_lock(topic text) TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.require_consumer(consumer text, reason text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.require_seized(consumer text, streams text[], epochs bigint[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.restore_stream(stream text, reason text, max integer, OUT events bigint, OUT finished boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.resume_consumer(consumer text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.resume_consumer(consumer text, reason text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.resume_operation(number bigint, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.resume_operation(number bigint, reason text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.resume_subscription(name text, reason text, generation integer) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.resume_subscription(name text, reason text, generation integer) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.resume_topic(topic text, reason text, partition integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.retire_master_key(name text, reason text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.retry_parked_streams(subscription text, stream text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.retry_parked_streams(subscription text, stream text, reason text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.rewrap_subject_key(id uuid, old_wrapped bytea, new_wrapped bytea, new_master text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.ring() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.ring_at_once() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.ring_bell() FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.ring_bell() TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.said_of_settled(expression text, body text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.seek_stream(consumer text, stream text, epoch bigint, passed_batch numeric, passed_position numeric, replayed_batch numeric, replayed_position numeric, prelude text, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.seek_stream(consumer text, stream text, epoch bigint, passed_batch numeric, passed_position numeric, replayed_batch numeric, replayed_position numeric, prelude text, reason text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.seize_stream(consumer text, stream text, holder text, lease interval, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.seize_stream(consumer text, stream text, holder text, lease interval, reason text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.select_dead_letters(filter jsonb, states text[], after bigint, most bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.select_dead_letters(filter jsonb, states text[], after bigint, most bigint) TO outbox_consumer;
GRANT ALL ON FUNCTION outbox.select_dead_letters(filter jsonb, states text[], after bigint, most bigint) TO outbox_observer;
GRANT ALL ON FUNCTION outbox.select_dead_letters(filter jsonb, states text[], after bigint, most bigint) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.set_inbox_keep(keep interval, reason text, force boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.set_inbox_keep(keep interval, reason text, force boolean) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.settle(functions text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.settle_anew() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.skip_event(topic text, event_id uuid, reason text, partition integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.skip_parked_event(subscription text, stream text, version bigint, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.skip_parked_event(subscription text, stream text, version bigint, reason text) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.stale_subject_keys(master text, max integer) FROM PUBLIC;

GRANT SELECT,INSERT ON TABLE outbox.stream_action TO outbox_relay;
GRANT SELECT ON TABLE outbox.stream_action TO outbox_observer;

REVOKE ALL ON FUNCTION outbox.stopped_stream(topic text, partition integer, actions text[], wanted text) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.stream_standing(stream text, OUT version bigint, OUT first_version bigint, OUT archived_through bigint, OUT gone boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.stream_standing(stream text, OUT version bigint, OUT first_version bigint, OUT archived_through bigint, OUT gone boolean) TO outbox_reader;

REVOKE ALL ON FUNCTION outbox.subscription_backlog(subscription text, generation integer) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.subscription_backlog(subscription text, generation integer) TO outbox_observer;
GRANT ALL ON FUNCTION outbox.subscription_backlog(subscription text, generation integer) TO outbox_operator;
GRANT ALL ON FUNCTION outbox.subscription_backlog(subscription text, generation integer) TO outbox_subscriber;

REVOKE ALL ON FUNCTION outbox.summary() FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.summary() TO outbox_observer;
GRANT ALL ON FUNCTION outbox.summary() TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.tags_of(tags text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.tags_refusal(tags text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.tags_refusal(tags text[]) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.take_up_cursor(cursor text, OUT era integer, OUT system_identifier bigint, OUT filter text, OUT above bigint, OUT done pg_snapshot, OUT own xid8, OUT own_through bigint, OUT backward boolean, OUT goal pg_snapshot, OUT goal_own xid8, OUT floor bigint, OUT through bigint, OUT place bigint, OUT era_floor bigint, OUT seen pg_snapshot, OUT drawn bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.takes_everything(filter jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.takes_everything(filter jsonb) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.time_refusal("time" timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.time_refusal("time" timestamp with time zone) TO outbox_producer;

REVOKE ALL ON FUNCTION outbox.to_settle() FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.tombstone_stream(stream text, reason text, max integer, OUT events bigint, OUT finished boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.trace_caused(event_id text, transactions bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.trace_caused(event_id text, transactions bigint[]) TO outbox_observer;
GRANT ALL ON FUNCTION outbox.trace_caused(event_id text, transactions bigint[]) TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.trace_consumers(event_id text, source text, recorded_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.trace_consumers(event_id text, source text, recorded_at timestamp with time zone) TO outbox_consumer;
GRANT ALL ON FUNCTION outbox.trace_consumers(event_id text, source text, recorded_at timestamp with time zone) TO outbox_observer;
GRANT ALL ON FUNCTION outbox.trace_consumers(event_id text, source text, recorded_at timestamp with time zone) TO outbox_operator;

REVOKE ALL ON FUNCTION outbox.trace_log(event_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.trace_log(event_id uuid) TO outbox_observer;
GRANT ALL ON FUNCTION outbox.trace_log(event_id uuid) TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.truncate_stream(stream text, before_version bigint, reason text, max integer, OUT events bigint, OUT finished boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.version_of(stream bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.version_of(stream bigint) TO outbox_reader;
GRANT ALL ON FUNCTION outbox.version_of(stream bigint) TO outbox_observer;

REVOKE ALL ON FUNCTION outbox.waiting_transactions() FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.waiting_transactions() TO outbox_observer;
GRANT ALL ON FUNCTION outbox.waiting_transactions() TO outbox_relay;

REVOKE ALL ON FUNCTION outbox.with_data(entry_fields bytea[], data json) FROM PUBLIC;

REVOKE ALL ON FUNCTION outbox.without_trace(extensions json) FROM PUBLIC;
GRANT ALL ON FUNCTION outbox.without_trace(extensions json) TO outbox_producer;

GRANT SELECT,INSERT ON TABLE outbox.batch TO outbox_relay;
GRANT SELECT ON TABLE outbox.batch TO outbox_observer;

GRANT SELECT ON TABLE outbox.category TO outbox_reader;
GRANT SELECT ON TABLE outbox.category TO outbox_observer;
GRANT SELECT ON TABLE outbox.category TO outbox_relay;
GRANT SELECT ON TABLE outbox.category TO outbox_subscriber;

GRANT SELECT,INSERT ON TABLE outbox.consumer TO outbox_consumer;
GRANT SELECT ON TABLE outbox.consumer TO outbox_observer;
GRANT SELECT ON TABLE outbox.consumer TO outbox_operator;

GRANT SELECT ON TABLE outbox.consumer_audit TO outbox_consumer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE outbox.consumer_failure TO outbox_consumer;

GRANT SELECT,INSERT,UPDATE ON TABLE outbox.consumer_lease TO outbox_consumer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE outbox.consumer_member TO outbox_consumer;
GRANT SELECT ON TABLE outbox.consumer_member TO outbox_observer;
GRANT SELECT ON TABLE outbox.consumer_member TO outbox_operator;

GRANT SELECT,INSERT,UPDATE ON TABLE outbox.consumer_stream TO outbox_consumer;

GRANT SELECT ON TABLE outbox.era TO outbox_relay;
GRANT SELECT ON TABLE outbox.era TO outbox_observer;
GRANT SELECT ON TABLE outbox.era TO outbox_subscriber;

GRANT SELECT ON TABLE outbox.era_share TO outbox_relay;
GRANT SELECT ON TABLE outbox.era_share TO outbox_observer;

GRANT SELECT ON TABLE outbox.era_start TO outbox_relay;
GRANT SELECT ON TABLE outbox.era_start TO outbox_observer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE outbox.parked_event TO outbox_consumer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE outbox.hole TO outbox_relay;
GRANT SELECT ON TABLE outbox.hole TO outbox_observer;

GRANT SELECT ON TABLE outbox.hole_pass TO outbox_consumer;
GRANT SELECT ON TABLE outbox.hole_pass TO outbox_observer;
GRANT SELECT ON TABLE outbox.hole_pass TO outbox_operator;

GRANT SELECT,INSERT ON TABLE outbox.inbox TO outbox_consumer;

GRANT UPDATE(outcome) ON TABLE outbox.inbox TO outbox_consumer;

GRANT UPDATE(applied_at) ON TABLE outbox.inbox TO outbox_consumer;

GRANT UPDATE(history) ON TABLE outbox.inbox TO outbox_consumer;

GRANT SELECT,INSERT ON TABLE outbox.inbox_foreign TO outbox_consumer;

GRANT UPDATE(outcome) ON TABLE outbox.inbox_foreign TO outbox_consumer;

GRANT UPDATE(applied_at) ON TABLE outbox.inbox_foreign TO outbox_consumer;

GRANT UPDATE(history) ON TABLE outbox.inbox_foreign TO outbox_consumer;

GRANT SELECT,INSERT,UPDATE ON TABLE outbox.inbox_keyed TO outbox_consumer;

GRANT SELECT ON TABLE outbox.inbox_migration TO outbox_consumer;
GRANT SELECT ON TABLE outbox.inbox_migration TO outbox_observer;

GRANT SELECT ON TABLE outbox.inbox_settings TO outbox_consumer;
GRANT SELECT ON TABLE outbox.inbox_settings TO outbox_observer;
GRANT SELECT ON TABLE outbox.inbox_settings TO outbox_operator;

GRANT SELECT,UPDATE ON TABLE outbox.lease TO outbox_relay;
GRANT SELECT ON TABLE outbox.lease TO outbox_observer;

GRANT SELECT ON SEQUENCE outbox.log_position TO outbox_relay;
GRANT SELECT ON SEQUENCE outbox.log_position TO outbox_observer;
GRANT SELECT ON SEQUENCE outbox.log_position TO outbox_subscriber;
GRANT USAGE ON SEQUENCE outbox.log_position TO outbox_producer;

GRANT SELECT ON TABLE outbox.log TO outbox_relay;

GRANT SELECT ON TABLE outbox.log_migration TO outbox_producer;
GRANT SELECT ON TABLE outbox.log_migration TO outbox_relay;
GRANT SELECT ON TABLE outbox.log_migration TO outbox_maintainer;
GRANT SELECT ON TABLE outbox.log_migration TO outbox_observer;
GRANT SELECT ON TABLE outbox.log_migration TO outbox_subscriber;

GRANT SELECT,INSERT ON TABLE outbox.loss TO outbox_relay;
GRANT SELECT ON TABLE outbox.loss TO outbox_observer;

GRANT SELECT ON TABLE outbox.misnamed_topic TO outbox_relay;

GRANT SELECT ON TABLE outbox.operation TO outbox_consumer;

GRANT UPDATE(state) ON TABLE outbox.operation TO outbox_consumer;

GRANT UPDATE(finished_at) ON TABLE outbox.operation TO outbox_consumer;

GRANT SELECT ON TABLE outbox.operation_item TO outbox_consumer;

GRANT UPDATE(state) ON TABLE outbox.operation_item TO outbox_consumer;

GRANT UPDATE(changed_at) ON TABLE outbox.operation_item TO outbox_consumer;

GRANT SELECT,INSERT ON TABLE outbox.outgoing TO outbox_producer;

GRANT SELECT,INSERT ON TABLE outbox.outgoing_if_plain TO outbox_producer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE outbox.parked_stream TO outbox_subscriber;
GRANT SELECT ON TABLE outbox.parked_stream TO outbox_operator;

GRANT SELECT ON TABLE outbox.piece TO outbox_relay;
GRANT SELECT ON TABLE outbox.piece TO outbox_observer;

GRANT USAGE ON SEQUENCE outbox.progress_number TO outbox_relay;

GRANT SELECT,INSERT ON TABLE outbox.progress TO outbox_relay;
GRANT SELECT ON TABLE outbox.progress TO outbox_observer;

GRANT SELECT,INSERT ON TABLE outbox.projection TO outbox_subscriber;

GRANT UPDATE(generation) ON TABLE outbox.projection TO outbox_subscriber;

GRANT SELECT ON TABLE outbox.projection_rebuild TO outbox_subscriber;
GRANT SELECT ON TABLE outbox.projection_rebuild TO outbox_observer;

GRANT UPDATE(state) ON TABLE outbox.projection_rebuild TO outbox_subscriber;

GRANT UPDATE(started_at) ON TABLE outbox.projection_rebuild TO outbox_subscriber;

GRANT UPDATE(finished_at) ON TABLE outbox.projection_rebuild TO outbox_subscriber;

GRANT UPDATE(said) ON TABLE outbox.projection_rebuild TO outbox_subscriber;

GRANT SELECT ON TABLE outbox.recovery TO outbox_relay;
GRANT SELECT ON TABLE outbox.recovery TO outbox_observer;

GRANT SELECT ON TABLE outbox.refusal TO outbox_observer;
GRANT SELECT ON TABLE outbox.refusal TO outbox_relay;

GRANT INSERT(code) ON TABLE outbox.refusal TO outbox_relay;

GRANT INSERT(said) ON TABLE outbox.refusal TO outbox_relay;

GRANT INSERT(epoch) ON TABLE outbox.refusal TO outbox_relay;

GRANT SELECT,INSERT ON TABLE outbox.reissue TO outbox_relay;
GRANT SELECT ON TABLE outbox.reissue TO outbox_observer;

GRANT SELECT,UPDATE ON TABLE outbox.reissue_order TO outbox_relay;
GRANT SELECT ON TABLE outbox.reissue_order TO outbox_observer;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE outbox.relay TO outbox_relay;
GRANT SELECT ON TABLE outbox.relay TO outbox_observer;

GRANT SELECT ON TABLE outbox.removed TO outbox_relay;

GRANT SELECT ON TABLE outbox.retention_class TO outbox_producer;
GRANT SELECT ON TABLE outbox.retention_class TO outbox_relay;
GRANT SELECT ON TABLE outbox.retention_class TO outbox_observer;

GRANT SELECT ON TABLE outbox.route TO outbox_observer;

GRANT SELECT ON TABLE outbox.settings TO outbox_producer;
GRANT SELECT ON TABLE outbox.settings TO outbox_relay;
GRANT SELECT ON TABLE outbox.settings TO outbox_observer;

GRANT SELECT,INSERT ON TABLE outbox.share TO outbox_relay;
GRANT SELECT ON TABLE outbox.share TO outbox_observer;

GRANT SELECT ON TABLE outbox.stream TO outbox_reader;
GRANT SELECT ON TABLE outbox.stream TO outbox_subscriber;

GRANT SELECT ON TABLE outbox.stored_event TO outbox_reader;
GRANT SELECT ON TABLE outbox.stored_event TO outbox_subscriber;

GRANT SELECT,INSERT ON TABLE outbox.stream_group TO outbox_relay;
GRANT SELECT ON TABLE outbox.stream_group TO outbox_observer;

GRANT SELECT,INSERT,UPDATE ON TABLE outbox.stream_mark TO outbox_consumer;

GRANT SELECT ON TABLE outbox.stream_setting TO outbox_relay;
GRANT SELECT ON TABLE outbox.stream_setting TO outbox_observer;

GRANT SELECT ON TABLE outbox.topic TO outbox_producer;
GRANT SELECT,INSERT ON TABLE outbox.topic TO outbox_relay;
GRANT SELECT ON TABLE outbox.topic TO outbox_observer;

GRANT SELECT ON TABLE outbox.stream_rule TO outbox_relay;
GRANT SELECT ON TABLE outbox.stream_rule TO outbox_observer;

GRANT SELECT,INSERT,UPDATE ON TABLE outbox.stream_seen TO outbox_relay;
GRANT SELECT ON TABLE outbox.stream_seen TO outbox_observer;

GRANT SELECT ON TABLE outbox.stream_step TO outbox_reader;
GRANT SELECT ON TABLE outbox.stream_step TO outbox_observer;

GRANT SELECT ON TABLE outbox.subject_step TO outbox_observer;

GRANT SELECT,INSERT,DELETE ON TABLE outbox.subscription TO outbox_subscriber;
GRANT SELECT ON TABLE outbox.subscription TO outbox_observer;

GRANT SELECT ON TABLE outbox.subscription_action TO outbox_operator;

GRANT SELECT,INSERT,UPDATE ON TABLE outbox.subscription_checkpoint TO outbox_subscriber;

GRANT SELECT,INSERT,UPDATE ON TABLE outbox.subscription_lease TO outbox_subscriber;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE outbox.subscription_member TO outbox_subscriber;

GRANT SELECT,INSERT ON TABLE outbox.timeline TO outbox_relay;
GRANT SELECT ON TABLE outbox.timeline TO outbox_observer;

GRANT SELECT,INSERT ON TABLE outbox.topic_layout TO outbox_relay;
GRANT SELECT ON TABLE outbox.topic_layout TO outbox_observer;

GRANT SELECT ON TABLE outbox.topic_stream TO outbox_relay;
GRANT SELECT ON TABLE outbox.topic_stream TO outbox_observer;

GRANT SELECT,INSERT ON TABLE outbox.trim_floor TO outbox_relay;
GRANT SELECT ON TABLE outbox.trim_floor TO outbox_observer;

GRANT SELECT(stream) ON TABLE outbox.unknown_entry TO outbox_relay;

GRANT SELECT(batch_id) ON TABLE outbox.unknown_entry TO outbox_relay;

GRANT SELECT("position") ON TABLE outbox.unknown_entry TO outbox_relay;

GRANT SELECT(recovery) ON TABLE outbox.unknown_entry TO outbox_relay;

GRANT SELECT(topic) ON TABLE outbox.unknown_entry TO outbox_relay;

GRANT SELECT(partition) ON TABLE outbox.unknown_entry TO outbox_relay;

GRANT SELECT(fate) ON TABLE outbox.unknown_entry TO outbox_relay;

GRANT SELECT ON TABLE outbox.unpublished TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.audit TO outbox_consumer;
GRANT SELECT ON TABLE outbox_ops.audit TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.audit TO outbox_operator;

GRANT SELECT ON TABLE outbox_ops.backlog TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.backlog TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.batches TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.batches TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.causes TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.causes TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.inbox TO outbox_consumer;
GRANT SELECT ON TABLE outbox_ops.inbox TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.inbox TO outbox_operator;

GRANT SELECT ON TABLE outbox_ops.consumer_partitions TO outbox_consumer;
GRANT SELECT ON TABLE outbox_ops.consumer_partitions TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.consumer_partitions TO outbox_operator;

GRANT SELECT ON TABLE outbox_ops.consumers TO outbox_consumer;
GRANT SELECT ON TABLE outbox_ops.consumers TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.consumers TO outbox_operator;

GRANT SELECT ON TABLE outbox_ops.dead_letter_groups TO outbox_consumer;
GRANT SELECT ON TABLE outbox_ops.dead_letter_groups TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.dead_letter_groups TO outbox_operator;

GRANT SELECT ON TABLE outbox_ops.dead_letters TO outbox_consumer;
GRANT SELECT ON TABLE outbox_ops.dead_letters TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.dead_letters TO outbox_operator;

GRANT SELECT ON TABLE outbox_ops.event_streams TO outbox_reader;
GRANT SELECT ON TABLE outbox_ops.event_streams TO outbox_observer;

GRANT SELECT ON TABLE outbox_ops.holes TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.holes TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.inbox_days TO outbox_consumer;
GRANT SELECT ON TABLE outbox_ops.inbox_days TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.inbox_days TO outbox_operator;

GRANT SELECT ON TABLE outbox_ops.inbox_window TO outbox_consumer;
GRANT SELECT ON TABLE outbox_ops.inbox_window TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.inbox_window TO outbox_operator;

GRANT SELECT ON TABLE outbox_ops.losses TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.losses TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.operations TO outbox_consumer;
GRANT SELECT ON TABLE outbox_ops.operations TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.operations TO outbox_operator;

GRANT SELECT ON TABLE outbox_ops.parked_keys TO outbox_consumer;
GRANT SELECT ON TABLE outbox_ops.parked_keys TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.parked_keys TO outbox_operator;

GRANT SELECT ON TABLE outbox_ops.parked_streams TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.parked_streams TO outbox_operator;

GRANT SELECT ON TABLE outbox_ops.projections TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.projections TO outbox_operator;

GRANT SELECT ON TABLE outbox_ops.recoveries TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.recoveries TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.refusals TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.refusals TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.reissue_orders TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.reissue_orders TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.reissues TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.reissues TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.relays TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.relays TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.retries TO outbox_consumer;
GRANT SELECT ON TABLE outbox_ops.retries TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.retries TO outbox_operator;

GRANT SELECT ON TABLE outbox_ops.stream_groups TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.stream_groups TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.streams TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.streams TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.subscriptions TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.subscriptions TO outbox_operator;

GRANT SELECT ON TABLE outbox_ops.summary TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.summary TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.topics TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.topics TO outbox_relay;

GRANT SELECT ON TABLE outbox_ops.waiting_transactions TO outbox_observer;
GRANT SELECT ON TABLE outbox_ops.waiting_transactions TO outbox_relay;

