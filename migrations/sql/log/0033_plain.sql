-- A stream takes one event by two statements, and many by three: the events that are as most are. Everything else goes the general way.

-- What the doorbell does where its lock is not to be had: the rules of outbox.ring.
create function outbox.ring_at_once() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from outbox.lease l where l.name = 'tail' and l.expires_at > clock_timestamp()) and pg_notification_queue_usage() < 0.5 then
        notify outbox;
    end if;
end
$$;

-- One event for one stream: version and position of what was appended, or null: nothing was, and outbox.append_to_streams says why, or
-- appends it. `expected` null: any version; 0: there is no such stream; n: it is at n. `topic` null: that of its route; empty: nowhere.
--
-- The first statement locks the stream, or makes it. The second sees what the one before committed: it looks at the version and at
-- everything else, and draws a position if all of it is right. It inserts into the piece itself, where no trigger rings: that is done here.
create function outbox.append_stored(
    stream text, expected bigint, id uuid, topic text, type text, schema_version text, correlation_id text, causation_id text, traceparent text,
    tracestate text, data json
) returns bigint[]
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
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
$$;

-- As before. Events without tags for one stream at the version that is expected are appended here, one by the function above, more by a
-- statement that looks a second time only at those that are not as most are; everything else by outbox.append_many, from the beginning.
create or replace function outbox.append_to_streams(
    streams text[], expected bigint[], numbers integer[],
    ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamptz[],
    data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[],
    traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[]
) returns table (number integer, outcome text, version bigint, positions bigint[])
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
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
$$;

do $$
begin
    alter function outbox.ring_at_once owner to outbox_maintainer;
    alter function outbox.append_stored owner to outbox_maintainer;
    revoke execute on function outbox.ring_at_once, outbox.append_stored from public;
end
$$;
grant execute on function outbox.append_stored to outbox_producer;
