-- The event store: events of one thing, counted. They are rows of the log like every other, in pieces of their own that stay, and go
-- to a topic or not. Nothing is written twice: what is stored is what is published.

-- Who may read what is stored, payloads included. Appending is for outbox_producer, as everywhere.
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'outbox_reader') then
        begin
            create role outbox_reader nologin;
        exception
            when duplicate_object or unique_violation then null;
            when insufficient_privilege then
                raise exception 'role outbox_reader does not exist and % may not create roles', current_user
                    using hint = 'as an administrator: create role outbox_reader nologin; then migrate again';
        end;
    end if;
end
$$;
grant usage on schema outbox to outbox_reader;

-- Classes of their own, which no topic is given: rows of a stream leave only through functions, and keep position and transaction id.
insert into outbox.retention_class values ('stream', null), ('archive', null);
alter table outbox.topic add constraint topic_is_of_no_stream check (retention not in ('stream', 'archive'));

-- What a stream's name begins with. Few: read often, together.
create table outbox.category (
    id integer generated always as identity primary key,
    name text not null unique check (octet_length(name) <= 100 and name ~ '^[A-Za-z0-9._]+$'),
    created_at timestamptz not null default clock_timestamp()
);
comment on table outbox.category is 'Categories: what the names of streams begin with, up to the first dash.';

-- A stream. Its row is what appends lock, and no append changes it, so that nothing dies: the version is that of its last event.
-- No foreign key: to check it would have every new stream lock the one row of its category.
create table outbox.stream (
    id bigint generated always as identity primary key,
    category integer not null,
    name text not null unique check (octet_length(name) <= 400 and name ~ '^[A-Za-z0-9._]+-[^\u0001-\u0020\u007f]+$'),
    created_at timestamptz not null default clock_timestamp()
);
create index stream_of_category on outbox.stream (category, name);
comment on table outbox.stream is 'Streams of the event store: `<category>-<id>`. Nothing changes here; what people did to a stream is in outbox.stream_step.';

-- Where events go that name no topic: by category and type, or by category alone (type empty). Null: they stay private.
create table outbox.route (
    category text not null check (octet_length(category) <= 100 and category ~ '^[A-Za-z0-9._]+$'),
    type text not null default '' check (octet_length(type) <= 200 and type ~ '^[A-Za-z0-9._-]*$'),
    topic text check (octet_length(topic) <= 200 and topic ~ '^[A-Za-z0-9._-]+$'),
    primary key (category, type)
);
comment on table outbox.route is 'The topic of stored events that name none: that of their category and type, else of their category, else none: they stay private.';

alter table outbox.log alter column topic drop not null;
alter table outbox.log add column stream bigint;
alter table outbox.log add column version bigint;
alter table outbox.log add column category integer;
alter table outbox.log add column tags text[];
-- Not validated: every row that is there has a topic and no stream, and to look would lock appends out meanwhile.
alter table outbox.log add constraint of_a_topic_or_a_stream check (topic is not null or stream is not null) not valid;
alter table outbox.log add constraint stream_is_counted check ((stream is null) = (version is null) and (stream is null) = (category is null)
    and (stream is null) = (retention not in ('stream', 'archive')) and version > 0) not valid;

create table outbox.log_stream partition of outbox.log for values in ('stream');
create table outbox.log_archive partition of outbox.log for values in ('archive');
create unique index log_stream_event on outbox.log_stream (id, source);
create unique index log_stream_version on outbox.log_stream (stream, version);
create index log_stream_category on outbox.log_stream (category, position);
-- For reads of the store alone, which say so (outbox.stored_event): a share of one topic is not to be looked for among all others.
create index log_stream_position on outbox.log_stream (position) where stream is not null;
create unique index log_archive_event on outbox.log_archive (id, source);
create unique index log_archive_version on outbox.log_archive (stream, version);
create index log_archive_category on outbox.log_archive (category, position);
create index log_archive_position on outbox.log_archive (position) where stream is not null;

-- What was done to a stream, and by whom. While such a row is of the present transaction, the rows that it names may leave.
create table outbox.stream_step (
    number bigint generated always as identity primary key,
    stream bigint not null,
    action text not null check (action in ('archive', 'restore', 'truncate', 'tombstone')),
    -- Versions up to this one.
    through bigint not null check (through >= 0),
    events bigint not null check (events >= 0),
    reason text not null check (reason <> ''),
    actor text not null default session_user,
    acted_at timestamptz not null default clock_timestamp(),
    transaction_id xid8 not null default pg_current_xact_id()
);
create index stream_step_of_stream on outbox.stream_step (stream, number);
comment on table outbox.stream_step is 'Audit of streams archived, restored, truncated or tombstoned: append-only, and the only way for their rows to leave.';

create trigger append_only before update or delete on outbox.category for each row execute function outbox.refuse_change();
create trigger append_only before update or delete on outbox.stream for each row execute function outbox.refuse_change();
create trigger append_only before update or delete on outbox.stream_step for each row execute function outbox.refuse_change();
create trigger append_only_as_a_whole before truncate on outbox.category for each statement execute function outbox.refuse_change();
create trigger append_only_as_a_whole before truncate on outbox.stream for each statement execute function outbox.refuse_change();
create trigger append_only_as_a_whole before truncate on outbox.stream_step for each statement execute function outbox.refuse_change();

-- The category in a stream's name. Null: that is no name of a stream.
create function outbox.category_of(stream text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select case when octet_length(stream) <= 400 and stream ~ '^[A-Za-z0-9._]{1,100}-[^\u0001-\u0020\u007f]+$' then split_part(stream, '-', 1) end
$$;

-- Locks a stream until the transaction ends, and says at which version it is; 0: it has no event. One that is not there is made if it
-- may be, or else is null. The version is read after the lock, by a statement of its own, which sees what the one before committed.
create function outbox.hold_stream(stream text, may_make boolean, out id bigint, out category integer, out version bigint)
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
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
    select l.version into hold_stream.version from outbox.log_stream l where l.stream = hold_stream.id order by l.version desc limit 1;
    if not found then
        select coalesce(max(s.through), 0), coalesce(bool_or(s.action = 'tombstone'), false) into hold_stream.version, is_buried
        from outbox.stream_step s where s.stream = hold_stream.id;
        if is_buried then
            raise exception 'stream % is buried: it was given a tombstone, and takes no events', hold_stream.stream
                using errcode = 'object_not_in_prerequisite_state', hint = 'Append to a stream of another name.';
        end if;
    end if;
end
$$;

-- Appends to streams, each at the version that is expected of it: null: any; -1: there is one; 0: there is none; n: it is at n.
-- `numbers` says of each event to which of the streams it goes, from 1 on. All of it, or nothing. One row per stream comes back:
-- `appended` with the version after it and the positions; `already`: the same events (by id) are in the stream, with what they got then;
-- `conflict`: another version was expected, with the actual one; `kept_back`: because of a conflict of another stream.
-- Streams are locked in the order of their names, and positions drawn when all versions are known: so the order of a stream is that
-- of the commits, and two calls never wait for each other in a circle.
create function outbox.append_to_streams(
    streams text[], expected bigint[], numbers integer[],
    ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamptz[],
    data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[],
    traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[]
) returns table (number integer, outcome text, version bigint, positions bigint[])
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
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
                       case when arrived.tags_json is not null then array(select distinct t from json_array_elements_text(arrived.tags_json::json) t order by t) end as tags
                from unnest(numbers, ids, topics, types, sources, subjects, times, data_content_types, data_schemas, schema_versions, correlation_ids,
                            causation_ids, traceparents, tracestates, append_to_streams.extensions, append_to_streams.data, data_binaries, append_to_streams.tags)
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

-- Why tags cannot be kept; null when they can.
create function outbox.tags_refusal(tags text[]) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select case when cardinality(tags) > 32 then 'tags: must be at most 32, got ' || cardinality(tags)
                when exists (select from unnest(tags) t (tag) where t.tag is null or t.tag = '' or octet_length(t.tag) > 200)
                then 'tags: each must be 1 to 200 bytes' end
$$;

-- The same for one stream from any language: `select outbox.append_to_stream('order-7', 0, '[{"type": "order.placed", "data": {}}]')`.
-- Returns the version of the stream after these events, which is what it returned first if they are there already, by id.
-- `expected`: null: any version; 0: no such stream; n: at version n. Otherwise error OB409, with the actual version as its detail.
create function outbox.append_to_stream(stream text, expected bigint, events json) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
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

-- What is stored, whole: for outbox_reader. By `stream_id` and `version`, by `category_id` and `position`, or by `position`.
create view outbox.stored_event as
    select l.position, l.transaction_id, l.recorded_at, l.stream as stream_id, (select s.name from outbox.stream s where s.id = l.stream) as stream,
           l.category as category_id, l.version, l.id, l.source, l.type, l.subject, l."time", l.data_content_type, l.data_schema, l.schema_version,
           l.correlation_id, l.causation_id, l.traceparent, l.tracestate, l.extensions, l.tags, l.topic, l.data, l.data_binary,
           l.retention = 'archive' as archived
    from outbox.log l
    where l.retention in ('stream', 'archive') and l.stream is not null;
comment on view outbox.stored_event is 'The events of streams, those in the archive included.';

-- The events of a stream behind a version, in order. A stream that is not there has none.
create function outbox.read_stream(stream text, after bigint default 0, max integer default null) returns table (
    version bigint, id uuid, type text, data json, data_binary bytea, recorded_at timestamptz, "position" bigint, source text, subject text, "time" timestamptz,
    data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, extensions json, tags text[], topic text
)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
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
        where e.stream_id = (select s.id from outbox.stream s where s.name = read_stream.stream) and e.version > read_stream.after
        order by e.version
        limit read_stream.max;
end
$$;

-- At which version a stream is: that of its last event, or of the last that left.
create function outbox.version_of(stream bigint) returns bigint
language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
    select coalesce((select l.version from outbox.log_stream l where l.stream = version_of.stream order by l.version desc limit 1),
                    (select max(s.through) from outbox.stream_step s where s.stream = version_of.stream), 0)
$$;

-- Which of these events a stream has, by id. Whoever is at work on the stream is waited for, so that the answer holds.
create function outbox.find_appended(stream text, ids uuid[]) returns table (id uuid, version bigint, "position" bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
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

-- As before, and only what goes to a topic.
create or replace function outbox.backlog() returns table (topic text, partition integer, events bigint, exact boolean, oldest_recorded_at timestamptz)
language sql stable security definer cost 1000 rows 20
set search_path = pg_catalog, pg_temp set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
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

-- As before, and only what goes to a topic.
create or replace function outbox.open_era(recovery bigint, epoch bigint, above_batch_id bigint, above_position bigint, streams jsonb,
                                out era integer, out batch_number bigint, out batch_id bigint, out events bigint)
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
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
    -- that appended and stays open, appends wait a tenth of a second at a time and have twice that to themselves, for 18 s in all.
    perform set_config('lock_timeout', '100ms', true);
    for try in 1..tries loop
        begin
            lock table only outbox.log in share row exclusive mode;
            exit;
        exception when lock_not_available then
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

do $$
declare
    made text;
    function regprocedure;
begin
    foreach made in array array['category', 'stream', 'route', 'log_stream', 'log_archive', 'stream_step'] loop
        execute format('alter table outbox.%I owner to outbox_maintainer', made);
    end loop;
    alter view outbox.stored_event owner to outbox_maintainer;
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('category_of', 'hold_stream', 'append_to_streams', 'tags_refusal', 'append_to_stream', 'read_stream', 'version_of', 'find_appended') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
grant execute on function outbox.append_to_streams, outbox.append_to_stream, outbox.find_appended, outbox.category_of, outbox.tags_refusal to outbox_producer;
grant execute on function outbox.read_stream, outbox.version_of, outbox.category_of to outbox_reader;
grant select on outbox.stored_event, outbox.stream, outbox.category, outbox.stream_step to outbox_reader;
-- Not the names of streams, which are keys.
grant select on outbox.category, outbox.route, outbox.stream_step to outbox_observer;
grant select on outbox.category to outbox_relay;
