-- What an append costs its transaction, again: the rules are planned into the statement that inserts, and the doorbell's function is
-- entered only to ring.

-- The condition of a trigger is one expression, looked at where the statement ends, as the function was. The function was entered for each
-- statement, and its `if` with a query inside started an executor: a third of an append.
-- The lock is tried last: it is not taken by who does not want to ring (a prepared transaction would keep the leader awake).
drop trigger doorbell on outbox.log;
create trigger doorbell after insert on outbox.log for each statement
    when (current_setting('outbox.notify', true) is distinct from 'off' and not pg_try_advisory_xact_lock_shared(122550254464888))
    execute function outbox.ring();

-- Called where the lock is held by a sleeper.
create or replace function outbox.ring() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if (current_setting('transaction_isolation') in ('repeatable read', 'serializable')
        or exists (select from outbox.lease l where l.name = 'tail' and l.expires_at > clock_timestamp()))
       and pg_notification_queue_usage() < 0.5 then
        notify outbox;
    end if;
    return null;
end
$$;

-- True, or the sentence that says what is wrong. Asked only for an event that is not plainly right.
create function outbox.accepts(
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
        raise exception 'event refused: outbox.settings has no row, so nobody knows the source and the payload limit of this database'
            using errcode = 'object_not_in_prerequisite_state', hint = 'insert into outbox.settings default values, then set source and writer as they were';
    elsif problem is not null then
        raise exception 'event refused: %', problem using errcode = 'invalid_parameter_value';
    end if;
    return true;
end
$$;

-- The extensions without those that have columns of their own.
create function outbox.without_trace(extensions json) returns json
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
    if extensions -> 'traceparent' is null and extensions -> 'tracestate' is null then
        return extensions;
    end if;
    return (select json_object_agg(e.key, e.value) from json_each(extensions) e where e.key not in ('traceparent', 'tracestate'));
end
$$;

-- What is inserted here is appended: an insert is planned as one into the log, with the rules, the defaults and the retention of the
-- topic, and what it does not mention costs nothing. Nothing can be read here.
create view outbox.outgoing as
select null::uuid as id, null::text as topic, null::text as key, null::text as type, null::text as source, null::text as subject,
       null::timestamptz as "time", null::text as data_content_type, null::text as data_schema, null::text as schema_version,
       null::text as correlation_id, null::text as causation_id, null::text as traceparent, null::text as tracestate, null::json as extensions,
       null::json as data, null::bytea as data_binary
where false;
alter view outbox.outgoing alter column id set default outbox.new_event_id();
comment on view outbox.outgoing is 'Insert here to append an event; the same as outbox.append. Always empty.';

-- The sub-select keeps an expression that may change from being evaluated twice, once to be looked at and once to be stored: with such
-- expressions the planner leaves it as it is, all others it takes apart.
create rule append as on insert to outbox.outgoing do instead
insert into outbox.log (retention, topic, key, id, source, type, subject, "time", data_content_type, data_schema, schema_version,
                        correlation_id, causation_id, traceparent, tracestate, extensions, data, data_binary)
select coalesce((select t.retention from outbox.topic t where t.name = n.topic), 'standard'), n.topic, n.key, n.id, coalesce(n.source, s.source),
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
     ) n,
     -- The limit has the planner know that there is one, though nobody ever analyses so small a table.
     (select source, payload_limit_bytes from outbox.settings limit 1) s
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

do $$
begin
    alter function outbox.accepts owner to outbox_maintainer;
    alter function outbox.without_trace owner to outbox_maintainer;
    alter view outbox.outgoing owner to outbox_maintainer;
    revoke execute on function outbox.accepts, outbox.without_trace from public;
end
$$;
grant insert, select on outbox.outgoing to outbox_producer;
-- The position of a row is its default, which is looked up with the rights of who inserts.
grant usage on sequence outbox.log_position to outbox_producer;
grant execute on function outbox.accepts, outbox.without_trace to outbox_producer;
