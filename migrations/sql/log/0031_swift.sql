-- One event for one stream, without tags: what is appended most, in half the time. Everything else goes the way that it went.

-- As append_to_streams was: any number of streams and events, tags, the same events again, conflicts.
create function outbox.append_many(
    streams text[], expected bigint[], numbers integer[],
    ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamptz[],
    data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[],
    traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[]
) returns table (number integer, outcome text, version bigint, positions bigint[])
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
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

-- As before. One new event without tags, at the version that is expected, is appended here: the same looks and the same rules, without taking
-- twenty arrays apart. What the general way must decide, it decides from the beginning: the stream is locked by then, which changes nothing.
create or replace function outbox.append_to_streams(
    streams text[], expected bigint[], numbers integer[],
    ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamptz[],
    data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[],
    traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[]
) returns table (number integer, outcome text, version bigint, positions bigint[])
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
    given constant uuid := ids[1];
    wanted constant bigint := expected[1];
    place record;
    held_id bigint;
    held_category integer;
    held_version bigint;
    is_known boolean;
    event_source text;
    media_type text;
    payload_limit_bytes integer;
    topic text;
    problem text;
    drawn bigint;
begin
    if cardinality(ids) = 1 and cardinality(streams) = 1 and cardinality(expected) = 1 and numbers[1] = 1 and tags[1] is null
       and greatest(cardinality(numbers), cardinality(topics), cardinality(types), cardinality(sources), cardinality(subjects), cardinality(times),
                    cardinality(data_content_types), cardinality(data_schemas), cardinality(schema_versions), cardinality(correlation_ids),
                    cardinality(causation_ids), cardinality(traceparents), cardinality(tracestates), cardinality(extensions), cardinality(data),
                    cardinality(data_binaries), cardinality(tags)) = 1
       and coalesce(wanted >= 0, true) then
        place := outbox.hold_stream(streams[1], coalesce(wanted = 0, true));
        held_id := place.id;
        held_category := place.category;
        held_version := coalesce(place.version, 0);
        if held_id is not null and coalesce(held_version = wanted, true) then
            select exists (select from outbox.log_stream l where l.id = given) or exists (select from outbox.log_archive l where l.id = given),
                   coalesce(sources[1], s.source), s.payload_limit_bytes,
                   case when topics[1] is null then
                       (select r.topic from outbox.route r where r.category = split_part(streams[1], '-', 1) and r.type in (types[1], '')
                        order by r.type desc limit 1)
                       else nullif(topics[1], '') end
            into is_known, event_source, payload_limit_bytes, topic
            from outbox.settings s where s.only_row;
            if not is_known then
                media_type := coalesce(data_content_types[1], case when data[1] is not null then 'application/json'
                                                                   when data_binaries[1] is not null then 'application/octet-stream' end);
                problem := coalesce(
                    outbox.refusal(coalesce(topic, '-'), streams[1], types[1], event_source, subjects[1], media_type, data_schemas[1], schema_versions[1],
                                   correlation_ids[1], causation_ids[1], traceparents[1], tracestates[1], extensions[1]::json,
                                   octet_length(data[1]), octet_length(data_binaries[1]), payload_limit_bytes),
                    outbox.time_refusal(times[1]));
                if problem is not null then
                    raise exception 'event refused: event 1: %', problem using errcode = 'invalid_parameter_value';
                end if;
                insert into outbox.log (retention, topic, key, id, source, type, subject, "time", data_content_type, data_schema, schema_version,
                                        correlation_id, causation_id, traceparent, tracestate, extensions, data, data_binary, stream, version, category)
                values ('stream', topic, case when topic is not null then streams[1] end, coalesce(given, outbox.new_event_id()), event_source, types[1],
                        subjects[1], times[1], media_type, data_schemas[1], schema_versions[1], correlation_ids[1], causation_ids[1], traceparents[1],
                        tracestates[1], extensions[1]::json, data[1]::json::text, data_binaries[1], held_id, held_version + 1, held_category)
                returning log.position into drawn;
                number := 1;
                outcome := 'appended';
                version := held_version + 1;
                positions := array[drawn];
                return next;
                return;
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
$$;

do $$
begin
    alter function outbox.append_many owner to outbox_maintainer;
    revoke execute on function outbox.append_many from public;
end
$$;
