-- What an insert into outbox.outgoing did otherwise than outbox.append: it gave one id to several rows, it took no null for an id, and appended
-- nothing, in silence, where the settings have no row. And who may append by grants of its own may do it by the ways of steps 33 and 39.

-- As before; and where the settings have no row it says what outbox.append says.
create or replace function outbox.accepts(
    topic text, key text, type text, source text, subject text, "time" timestamptz, data_content_type text, data_schema text, schema_version text,
    correlation_id text, causation_id text, traceparent text, tracestate text, extensions json, data_bytes integer, binary_bytes integer,
    payload_limit_bytes integer
) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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

-- As before. The id is drawn where the row is made: in the sub-select it was drawn once for a statement whose rows have nothing of their own.
-- The settings are joined so that a row is left where there are none, and refused.
alter view outbox.outgoing alter column id drop default;
create or replace rule append as on insert to outbox.outgoing do instead
insert into outbox.log (retention, topic, key, id, source, type, subject, "time", data_content_type, data_schema, schema_version,
                        correlation_id, causation_id, traceparent, tracestate, extensions, data, data_binary)
select coalesce((select t.retention from outbox.topic t where t.name = n.topic), 'standard'), n.topic, n.key, coalesce(n.id, outbox.new_event_id()), coalesce(n.source, s.source),
       coalesce(n.type, n.topic), n.subject, n."time",
       coalesce(n.data_content_type, case when n.data is not null then 'application/json' when n.data_binary is not null then 'application/octet-stream' end),
       n.data_schema, n.schema_version, n.correlation_id, n.causation_id, coalesce(n.traceparent, n.extensions ->> 'traceparent'),
       coalesce(n.tracestate, n.extensions ->> 'tracestate'), case when n.extensions is not null then outbox.without_trace(n.extensions) end,
       n.data::text, n.data_binary
from lateral (
        select new.id as id, new.topic as topic, new.key as key, new.type as type, new.source as source, new.subject as subject, new."time" as "time",
               new.data_content_type as data_content_type, new.data_schema as data_schema, new.schema_version as schema_version,
               new.correlation_id as correlation_id, new.causation_id as causation_id, new.traceparent as traceparent, new.tracestate as tracestate,
               new.extensions as extensions, new.data as data, new.data_binary as data_binary
     ) n
     -- The limit has the planner know that there is one, though nobody ever analyses so small a table.
     left join (select source, payload_limit_bytes from outbox.settings limit 1) s on true
where (n.topic ~ '^[A-Za-z0-9._-]+$' and octet_length(n.topic) <= 200
      and (n.type is null or n.type ~ '^[A-Za-z0-9._-]+$' and octet_length(n.type) <= 200)
      and n.source is distinct from '' and octet_length(coalesce(n.source, s.source)) <= 1024
      and (n.key is null or octet_length(n.key) between 1 and 1024)
      and num_nonnulls(n.subject, n."time", n.data_content_type, n.data_schema, n.extensions) = 0
      and (n.schema_version is null or octet_length(n.schema_version) between 1 and 2048)
      and (n.correlation_id is null or octet_length(n.correlation_id) between 1 and 2048)
      and (n.causation_id is null or octet_length(n.causation_id) between 1 and 2048)
      and (n.traceparent is null or octet_length(n.traceparent) between 1 and 2048)
      and (n.tracestate is null or octet_length(n.tracestate) between 1 and 2048)
      and (n.data is null or n.data_binary is null)
      and coalesce(octet_length(n.data::text), octet_length(n.data_binary), 0) <= s.payload_limit_bytes
   or outbox.accepts(n.topic, n.key, coalesce(n.type, n.topic), coalesce(n.source, s.source), n.subject, n."time", n.data_content_type, n.data_schema,
                     n.schema_version, n.correlation_id, n.causation_id, coalesce(n.traceparent, n.extensions ->> 'traceparent'),
                     coalesce(n.tracestate, n.extensions ->> 'tracestate'), case when n.extensions is not null then outbox.without_trace(n.extensions) end,
                     octet_length(n.data::text), octet_length(n.data_binary), s.payload_limit_bytes))
returning log.id, log.topic, log.key, log.type, log.source, log.subject, log."time", log.data_content_type, log.data_schema, log.schema_version,
          log.correlation_id, log.causation_id, log.traceparent, log.tracestate, log.extensions, log.data::json, log.data_binary;


-- A right to append is one to all of what the library sends for an event.
do $$
declare
    granted record;
begin
    for granted in
        select p.proname as name, case when a.grantee = 0 then 'public' else a.grantee::regrole::text end as grantee,
               case when bool_or(a.is_grantable) then ' with grant option' else '' end as option
        from pg_catalog.pg_proc p cross join lateral aclexplode(p.proacl) a
        where p.pronamespace = 'outbox'::regnamespace and p.proname in ('append_event', 'append_to_streams') and a.privilege_type = 'EXECUTE'
          and a.grantee <> p.proowner
        group by 1, 2
    loop
        if granted.name = 'append_to_streams' then
            execute format('grant execute on function outbox.append_stored to %s%s', granted.grantee, granted.option);
        else
            execute format('grant insert, select on outbox.outgoing to %s%s', granted.grantee, granted.option);
            execute format('grant usage on sequence outbox.log_position to %s%s', granted.grantee, granted.option);
            execute format('grant execute on function outbox.new_event_id, outbox.accepts, outbox.without_trace to %s%s', granted.grantee,
                           granted.option);
        end if;
    end loop;
end
$$;
