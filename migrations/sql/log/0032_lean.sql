-- What an append costs its transaction: each rule looked at once, in one expression and one statement where an event is as most are.

-- The rules are those of outbox.refusal, and nobody but the functions that ask it inserts here. As constraints of the table they were read from the
-- catalog, planned and looked at again for every statement: a third of an append. What the event store counts by stays with its pieces.
alter table outbox.log
    drop constraint topic_is_a_name, drop constraint type_is_a_name, drop constraint source_is_not_empty, drop constraint one_kind_of_data,
    drop constraint payload_at_most_16_mib, drop constraint of_a_topic_or_a_stream, drop constraint stream_is_counted;
alter table outbox.log_stream add constraint stream_is_counted check (stream is not null and version > 0 and category is not null) not valid;
alter table outbox.log_archive add constraint stream_is_counted check (stream is not null and version > 0 and category is not null) not valid;

-- One event: what the library sends, and outbox.append hands on. In the order of outbox.append_batch.
-- `extensions` may hold `traceparent` and `tracestate`; they go to columns of their own.
create function outbox.append_event(
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
            into strict problem
            from outbox.settings s;
            if problem is not null then
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
        -- Its payload or its source is too long for this database: which, is said by the refusal.
        is_plain := false;
    end loop;
    return appended;
end
$$;

-- Planned into the statement that calls it: no function of its own is entered.
create or replace function outbox.append(
    topic text, data json default null, key text default null, type text default null, source text default null,
    subject text default null, id uuid default null, "time" timestamptz default null, extensions json default null,
    correlation_id text default null, causation_id text default null, schema_version text default null,
    data_schema text default null, data_content_type text default null, data_binary bytea default null
) returns uuid
language sql
return outbox.append_event(id, topic, key, type, source, subject, "time", data_content_type, data_schema, schema_version, correlation_id,
                           causation_id, null, null, extensions, data, data_binary);

do $$
begin
    alter function outbox.append_event owner to outbox_maintainer;
    revoke execute on function outbox.append_event from public;
end
$$;
grant execute on function outbox.append_event to outbox_producer;
