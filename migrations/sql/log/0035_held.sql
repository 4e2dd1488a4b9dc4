-- What was not held any more: grants of outbox.append, the one row of the settings, and rows of the log that no function put there. And two
-- functions say what to do where they refuse.

-- outbox.append is planned into the statement that calls it, as a call of append_event: whoever was granted the one needs the other.
do $$
declare
    granted record;
begin
    for granted in
        select case when a.grantee = 0 then 'public' else a.grantee::regrole::text end as grantee, bool_or(a.is_grantable) as is_grantable
        from pg_catalog.pg_proc p cross join lateral aclexplode(p.proacl) a
        where p.pronamespace = 'outbox'::regnamespace and p.proname = 'append' and a.privilege_type = 'EXECUTE' and a.grantee <> p.proowner
        group by 1
    loop
        execute format('grant execute on function outbox.append_event to %s%s', granted.grantee,
                       case when granted.is_grantable then ' with grant option' else '' end);
    end loop;
end
$$;

-- Without its one row there would be no source and no limit of a payload.
create function outbox.refuse_no_settings() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'outbox.settings keeps its one row: % refused', lower(tg_op)
        using errcode = 'insufficient_privilege', hint = 'Every append reads it. Change it: update outbox.settings set …';
end
$$;
create trigger keeps_its_row before delete on outbox.settings for each row execute function outbox.refuse_no_settings();
create trigger keeps_its_row_as_a_whole before truncate on outbox.settings for each statement execute function outbox.refuse_no_settings();

-- As before; and where the settings have no row, for a restore may leave them out, nothing is appended without a limit.
create or replace function outbox.append_batch(
    ids uuid[], topics text[], keys text[], types text[], sources text[], subjects text[], times timestamptz[], data_content_types text[],
    data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[], traceparents text[], tracestates text[],
    extensions text[], data text[], data_binaries bytea[]
) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
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

-- What says so.
create function outbox.need_settings() returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from outbox.settings) then
        raise exception 'event refused: outbox.settings has no row, which has the source and the payload limit of this database'
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'Put it back as it was: insert into outbox.settings (database_id, source, writer, payload_limit_bytes) values (…).';
    end if;
end
$$;

-- As before; and it comes back where its row is taken away by a trigger, and says so where the settings have no row.
create or replace function outbox.append_event(
    id uuid, topic text, key text, type text, source text, subject text, "time" timestamptz, data_content_type text, data_schema text,
    schema_version text, correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data json, data_binary bytea
) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_variable
declare
    is_plain boolean;
    problem text;
    appended uuid;
begin
    -- What most events are. Each expression of a function is prepared anew in every transaction: so it is one, and not outbox.refusal at once.
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
        select coalesce(t.retention, 'standard'), topic, key, coalesce(id, outbox.new_event_id()), coalesce(source, s.source), coalesce(type, topic),
               subject, "time",
               coalesce(data_content_type, case when data is not null then 'application/json' when data_binary is not null then 'application/octet-stream' end),
               data_schema, schema_version, correlation_id, causation_id, traceparent, tracestate, extensions, data::text, data_binary
        from outbox.settings s left join outbox.topic t on t.name = topic
        where octet_length(coalesce(source, s.source)) <= 1024
          and (greatest(octet_length(data::text), octet_length(data_binary)) <= s.payload_limit_bytes) is not false
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

-- Topics that are none: rows of the log that a member of outbox_maintainer inserted by hand. They are in their batch and in no share.
create table outbox.misnamed_topic (
    topic text primary key,
    event_count bigint not null check (event_count > 0),
    first_position bigint not null,
    last_position bigint not null check (last_position >= first_position),
    seen_at timestamptz not null default clock_timestamp()
);
comment on table outbox.misnamed_topic is 'Events inserted into the log by hand whose topic is no name: they are published nowhere. One row per topic, with the positions.';

-- Keeps what a cut found: [[topic, events, first position, last position], …]. Gives it back.
create function outbox.keep_misnamed(told json) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into outbox.misnamed_topic as known (topic, event_count, first_position, last_position)
    select f.topic ->> 0, (f.topic ->> 1)::bigint, (f.topic ->> 2)::bigint, (f.topic ->> 3)::bigint from json_array_elements(told) f (topic)
    on conflict (topic) do update
    set event_count = known.event_count + excluded.event_count, first_position = least(known.first_position, excluded.first_position),
        last_position = greatest(known.last_position, excluded.last_position), seen_at = excluded.seen_at;
    return told::text;
end
$$;

-- As before; and with accept_differences also one that is building: what waits for a live one that is far behind is not held.
create or replace function outbox.release_rebuild(projection text, reason text, accept_differences boolean default false) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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

-- As before; what must be done stands in the message, for that is what a relay of before writes to its log, and why is said as it is.
create or replace function outbox.refuse_uncounted() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
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

-- What may be null in the log as a whole may not be in its pieces. A column that is not null costs an append nothing, where a check is
-- read, planned and prepared by every statement. First as checks of what comes. The next step looks at
-- what is there, and the one after it makes them the columns' own.
alter table outbox.log_standard add constraint topic_is_there check (topic is not null) not valid;
alter table outbox.log_audit add constraint topic_is_there check (topic is not null) not valid;
alter table outbox.log_durable add constraint topic_is_there check (topic is not null) not valid;
alter table outbox.log_stream add constraint version_is_there check (version is not null) not valid;

do $$
declare
    function regprocedure;
begin
    alter table outbox.misnamed_topic owner to outbox_maintainer;
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('refuse_no_settings', 'need_settings', 'keep_misnamed') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
grant execute on function outbox.keep_misnamed to outbox_relay;
grant select on outbox.misnamed_topic to outbox_relay;
