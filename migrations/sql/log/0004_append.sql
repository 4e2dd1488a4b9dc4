-- Appending: the only way into the log, for every language, and the doorbell it rings.

-- A time-ordered event id (UUIDv7, RFC 9562): 48 bits of milliseconds, version, variant, random rest. Built in only from Postgres 18 on.
-- Neither definer nor with a search_path of its own, so that it is inlined: it is called for every event.
create function outbox.new_event_id() returns uuid
language sql volatile parallel safe as $$
    select pg_catalog.encode(
        pg_catalog.set_bit(pg_catalog.set_bit(
            pg_catalog.overlay(pg_catalog.uuid_send(pg_catalog.gen_random_uuid()),
                pg_catalog.substring(pg_catalog.int8send((extract(epoch from pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000)::bigint), 3), 1, 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;

-- Why an event cannot be appended, naming field, rule and value; null when it can. The library checks the same before sending.
-- Called for every event, hence: what is almost always right is asked in one expression and named only when it is wrong, and
-- lengths are asked apart from the characters (a bounded repetition, {1,200}, takes 17 µs to match, this one less than 1).
create function outbox.refusal(
    topic text, key text, type text, source text, subject text, data_content_type text, data_schema text,
    schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text,
    extensions json, data_bytes integer, binary_bytes integer, payload_limit_bytes integer
) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
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
$$;

-- The rule that `refusal` has no argument for: a time that RFC 3339 and every driver can say. `infinity` is none.
create function outbox.time_refusal("time" timestamptz) returns text
language sql stable parallel safe as $$
    select case when not ("time" >= timestamptz '0001-01-01 00:00:00+00' and "time" < timestamptz '10000-01-01 00:00:00+00')
        then 'time: must be in the years 1 to 9999, got ' || "time" end
$$;

-- One event, from any language: `select outbox.append('orders.placed', '{"order": 7}', key => '7')` inside your transaction.
-- `extensions` may hold `traceparent` and `tracestate`; they go to columns of their own.
create function outbox.append(
    topic text, data json default null, key text default null, type text default null, source text default null,
    subject text default null, id uuid default null, "time" timestamptz default null, extensions json default null,
    correlation_id text default null, causation_id text default null, schema_version text default null,
    data_schema text default null, data_content_type text default null, data_binary bytea default null
) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
    default_source text;
    payload_limit_bytes integer;
    retention text;
    problem text;
    traceparent text := extensions ->> 'traceparent';
    tracestate text := extensions ->> 'tracestate';
begin
    select s.source, s.payload_limit_bytes, coalesce((select t.retention from outbox.topic t where t.name = append.topic), 'standard')
    into default_source, payload_limit_bytes, retention
    from outbox.settings s;
    type := coalesce(type, topic);
    source := coalesce(source, default_source);
    id := coalesce(id, outbox.new_event_id());
    data_content_type := coalesce(data_content_type,
        case when data is not null then 'application/json' when data_binary is not null then 'application/octet-stream' end);
    if extensions -> 'traceparent' is not null or extensions -> 'tracestate' is not null then
        extensions := (select json_object_agg(e.key, e.value) from json_each(extensions) e where e.key not in ('traceparent', 'tracestate'));
    end if;
    problem := coalesce(
        outbox.refusal(topic, key, type, source, subject, data_content_type, data_schema, schema_version, correlation_id, causation_id,
                       traceparent, tracestate, extensions, octet_length(data::text), octet_length(data_binary), payload_limit_bytes),
        outbox.time_refusal("time"));
    if problem is not null then
        raise exception 'event refused: %', problem using errcode = 'invalid_parameter_value';
    end if;
    insert into outbox.log (retention, topic, key, id, source, type, subject, "time", data_content_type, data_schema, schema_version,
                            correlation_id, causation_id, traceparent, tracestate, extensions, data, data_binary)
    values (retention, topic, key, id, source, type, subject, "time", data_content_type, data_schema, schema_version,
            correlation_id, causation_id, traceparent, tracestate, extensions, data::text, data_binary);
    return id;
end
$$;

-- True, unless there is a problem with event n of a call: then an error.
create function outbox.accept(n bigint, problem text) returns boolean
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
    if problem is not null then
        raise exception 'event refused: event %: %', n, problem using errcode = 'invalid_parameter_value';
    end if;
    return true;
end
$$;

-- Many events in one round trip, in the order of the arrays: what the library sends. The arrays are equally long.
-- `data` comes as text so that no driver re-orders its keys. Returns how many were appended. Left to itself Postgres plans the
-- insert again in every call (it takes the arrays for longer than they are), which is two thirds of a short call.
create function outbox.append_batch(
    ids uuid[], topics text[], keys text[], types text[], sources text[], subjects text[], times timestamptz[],
    data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[],
    traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[]
) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
    default_source text;
    payload_limit_bytes integer;
    twice uuid;
    appended bigint;
begin
    select s.source, s.payload_limit_bytes into default_source, payload_limit_bytes from outbox.settings s;
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

-- The doorbell. The leader holds lock 122550254464888 ("outbox" as a number) exclusively only while it sleeps, so a busy or
-- absent relay costs one failed or granted try and no notification. The lease test keeps a stopped relay that still holds
-- the lock from costing producers anything; the queue test keeps a full notification queue from failing their commit.
-- A transaction that keeps its first snapshot sees the lease as it was then, long over: it rings without that test.
create function outbox.ring() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('outbox.notify', true) is distinct from 'off'
       and not pg_try_advisory_xact_lock_shared(122550254464888)
       and (current_setting('transaction_isolation') in ('repeatable read', 'serializable')
            or exists (select from outbox.lease l where l.name = 'tail' and l.expires_at > clock_timestamp()))
       and pg_notification_queue_usage() < 0.5 then
        notify outbox;
    end if;
    return null;
end
$$;
create trigger doorbell after insert on outbox.log for each statement execute function outbox.ring();

-- A person lets a stream go on after its cause was mended. Returns the position it goes on from.
create function outbox.resume_topic(topic text, reason text) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    latest outbox.stream_action;
begin
    select * into latest from outbox.stream_action a where a.topic = resume_topic.topic order by a.number desc limit 1;
    if latest.action is null or latest.action not in ('set_aside', 'blocked') then
        raise exception 'topic % is neither set aside nor blocked', topic using errcode = 'no_data_found';
    end if;
    -- A resume that a crash undid after the stream went on would set it aside again behind itself.
    perform set_config('synchronous_commit', 'on', true);
    insert into outbox.stream_action (topic, partition, action, batch_number, position, event_id, reason)
    values (topic, latest.partition, 'resume', latest.batch_number, latest.position, latest.event_id, reason);
    notify outbox;
    return latest.position;
end
$$;

-- A person gives up the one event that stops a stream. It stays in outbox.unpublished, and leaves the chain of entries.
create function outbox.skip_event(topic text, event_id uuid, reason text) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    latest outbox.stream_action;
    passed outbox.progress;
begin
    -- A skip that a crash undid after the next event was published would put that event on the stream twice.
    perform set_config('synchronous_commit', 'on', true);
    select * into latest from outbox.stream_action a where a.topic = skip_event.topic order by a.number desc limit 1;
    if latest.action is distinct from 'set_aside' then
        raise exception 'topic % is not set aside', topic using errcode = 'no_data_found';
    elsif latest.event_id is distinct from skip_event.event_id then
        raise exception 'topic % waits at event %, not at %', topic, latest.event_id, skip_event.event_id using errcode = 'invalid_parameter_value';
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

do $$
declare
    function regprocedure;
begin
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('new_event_id', 'refusal', 'time_refusal', 'accept', 'append', 'append_batch', 'ring', 'resume_topic', 'skip_event') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
grant execute on function outbox.append, outbox.append_batch, outbox.new_event_id, outbox.refusal, outbox.time_refusal to outbox_producer;
