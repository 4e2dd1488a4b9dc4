-- What an append costs its transaction, for the last time: to join one row of settings and one of topics was a quarter of what the library's statement
-- took. Both change once in months, so they are functions, which are made anew when they do, and are planned into the statement as the constants that
-- they are. A plan depends on what was planned into it: who has it prepared plans it again once the change is committed. In a transaction that has
-- appended before, the first statement behind that may still be the old one: it holds its locks already, and word of a change comes with a lock.
-- The tables are what holds. Triggers follow them whatever writes there, a subscription of Postgres too (`enable always`), and upkeep compares:
-- who restores data with triggers disabled goes past them.
-- The bodies are parsed where they are made (`return`), and not where they are planned in: the path there is that of whoever inserts.

-- As they are replaced, by their owner. Only the body ever changes: a dump that is made during a change has the body from behind it, and all
-- else from before.
create function outbox.settled_source() returns text language sql stable parallel safe return null::text;
create function outbox.settled_payload_limit() returns integer language sql stable parallel safe return null::integer;
create function outbox.settled_retention(topic text) returns text language sql stable parallel safe return null::text;

-- What they call where they are no constant.
create function outbox.look_up_source() returns text
language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform outbox.need_settings();
    return (select s.source from outbox.settings s);
end
$$;
create function outbox.look_up_payload_limit() returns integer
language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform outbox.need_settings();
    return (select s.payload_limit_bytes from outbox.settings s);
end
$$;
create function outbox.look_up_retention(topic text) returns text
language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
begin
    return coalesce((select k.retention from outbox.topic k where k.name = topic), 'standard');
end
$$;

-- What they should be. Of topics up to eight that are kept otherwise than others are known by name. Who may not see what others committed since it
-- began would settle what was, and has them look.
create function outbox.to_settle() returns table (name text, arguments text, result text, expression text)
language sql stable set search_path = pg_catalog, pg_temp as $$
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

-- In the comment of each is of what it was made, and what came of that: the table does not tell of what it lacks, nor of what a person or a
-- restore put there.
create function outbox.said_of_settled(expression text, body text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select format('What appends know of outbox.settings and outbox.topic; triggers make it: change the table. Now: %s, which is %s', expression, body)
$$;
create function outbox.is_settled(name text, expression text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp set quote_all_identifiers = off set standard_conforming_strings = on as $$
    select d.description = outbox.said_of_settled(is_settled.expression, pg_get_function_sqlbody(p.oid))
    from pg_proc p join pg_description d on d.objoid = p.oid and d.classoid = 'pg_proc'::regclass
    where p.pronamespace = 'outbox'::regnamespace and p.proname = is_settled.name
$$;

-- One transaction at a time: each sees what those before made. A wait is bounded: behind who waits here a row of a topic may keep a relay from its
-- next batch.
create function outbox.begin_to_settle() returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
begin
    perform pg_advisory_xact_lock(122550254464892);
exception
    when lock_not_available then
        raise exception 'another transaction is changing outbox.settings or how long topics are kept' using errcode = 'lock_not_available',
            hint = 'Nothing was changed: try again when it is over.';
end
$$;

-- Has these follow the tables; whether any was a constant, and another one.
create function outbox.settle(functions text[]) returns boolean
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
                (select pg_get_function_sqlbody(p.oid) from pg_proc p where p.pronamespace = 'outbox'::regnamespace and p.proname = made.name)));
        end if;
    end loop;
    return was_other;
end
$$;

create function outbox.follow_settled() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform outbox.settle(case tg_table_name when 'topic' then array['settled_retention'] else array['settled_source', 'settled_payload_limit'] end);
    return null;
end
$$;

-- For upkeep, and for who restored data with triggers disabled: whether anything was not as the tables say, and is now. Enabling all triggers behind
-- that forgets that these are always.
create function outbox.settle_anew() returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
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

do $$
declare
    function oid;
    is_everybodys boolean;
begin
    for function, is_everybodys in
        select p.oid, p.proname ^@ 'settled_' or p.proname ^@ 'look_up_' from pg_catalog.pg_proc p where p.pronamespace = 'outbox'::regnamespace
        and p.proname in ('to_settle', 'is_settled', 'said_of_settled', 'begin_to_settle', 'settle', 'follow_settled', 'settle_anew', 'settled_source',
                          'settled_payload_limit', 'settled_retention', 'look_up_source', 'look_up_payload_limit', 'look_up_retention') loop
        execute format('alter function %s owner to outbox_maintainer', function::regprocedure);
        -- With the rights of whoever inserts, by whatever right that is; and they are planned in only for who may execute them. A look tells no more
        -- than the constant does.
        if is_everybodys then
            execute format('grant execute on function %s to public', function::regprocedure);
        else
            execute format('revoke execute on function %s from public', function::regprocedure);
        end if;
    end loop;
end
$$;

create trigger settles after insert or delete on outbox.settings for each row execute function outbox.follow_settled();
create trigger settles_changes after update on outbox.settings for each row
    when ((new.source, new.payload_limit_bytes) is distinct from (old.source, old.payload_limit_bytes)) execute function outbox.follow_settled();
create trigger settles_nothing after truncate on outbox.settings for each statement execute function outbox.follow_settled();
create trigger settles after insert on outbox.topic for each row when (new.retention <> 'standard') execute function outbox.follow_settled();
create trigger settles_changes after update on outbox.topic for each row
    when ((new.name, new.retention) is distinct from (old.name, old.retention)) execute function outbox.follow_settled();
create trigger settles_less after delete on outbox.topic for each row when (old.retention <> 'standard') execute function outbox.follow_settled();
create trigger settles_nothing after truncate on outbox.topic for each statement execute function outbox.follow_settled();

-- Behind the triggers: what is committed from here on is followed, and what was before is seen. Triggers become those that always are.
select outbox.settle_anew();

-- As before, but for what is settled.
create or replace rule append as on insert to outbox.outgoing do instead
insert into outbox.log (retention, topic, key, id, source, type, subject, "time", data_content_type, data_schema, schema_version,
                        correlation_id, causation_id, traceparent, tracestate, extensions, data, data_binary)
select outbox.settled_retention(n.topic), n.topic, n.key, coalesce(n.id, outbox.new_event_id()), coalesce(n.source, outbox.settled_source()),
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
where (n.topic || coalesce(n.type, '') ~ '^[A-Za-z0-9._-]+$' and octet_length(n.topic || coalesce(n.type, '')) <= 200
      -- None is empty: '' is the least of all. Of an empty name and another one the expression sees the other one alone.
      and least(n.key collate "C", n.topic, n.type, n.source, n.schema_version, n.correlation_id, n.causation_id, n.traceparent, n.tracestate) is distinct from ''
      -- The size of an array is at least that of its elements.
      and pg_column_size(array[n.key, coalesce(n.source, outbox.settled_source()), n.schema_version, n.correlation_id, n.causation_id, n.traceparent, n.tracestate]) <= 1024
      and num_nonnulls(n.subject, n."time", n.data_content_type, n.data_schema, n.extensions) = 0
      and (n.data is null or n.data_binary is null)
      and coalesce(octet_length(n.data::text), octet_length(n.data_binary), 0) <= outbox.settled_payload_limit()
   or outbox.accepts(n.topic, n.key, coalesce(n.type, n.topic), coalesce(n.source, outbox.settled_source()), n.subject, n."time", n.data_content_type, n.data_schema,
                     n.schema_version, n.correlation_id, n.causation_id, coalesce(n.traceparent, n.extensions ->> 'traceparent'),
                     coalesce(n.tracestate, n.extensions ->> 'tracestate'), case when n.extensions is not null then outbox.without_trace(n.extensions) end,
                     octet_length(n.data::text), octet_length(n.data_binary), outbox.settled_payload_limit()))
returning log.id, log.topic, log.key, log.type, log.source, log.subject, log."time", log.data_content_type, log.data_schema, log.schema_version,
          log.correlation_id, log.causation_id, log.traceparent, log.tracestate, log.extensions, log.data::json, log.data_binary;

-- As before, but for what is settled.
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
