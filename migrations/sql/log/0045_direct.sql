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

-- The rules are those that outbox.outgoing looks at first: what they let pass is right. The doorbell is looked at behind them, in one expression, so that
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
where case when n.topic || coalesce(n.type, '') ~ '^[A-Za-z0-9._-]+$' and octet_length(n.topic || coalesce(n.type, '')) <= 200
                and least(n.key collate "C", n.topic, n.type, n.source, n.schema_version, n.correlation_id, n.causation_id, n.traceparent, n.tracestate) <> ''
                and pg_column_size(array[n.key, coalesce(n.source, outbox.settled_source()), n.schema_version, n.correlation_id, n.causation_id,
                                         n.traceparent, n.tracestate]) <= 1024
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
          end;
    if found then
        return id;
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
end
$$;
