-- A stream is buried before its events go: between the chunks of its deletion it takes none, and nobody reads what is left of it.

create index stream_step_buried on outbox.stream_step (stream) where action = 'tombstone';

-- Whether a stream was given a tombstone.
create function outbox.is_buried(stream bigint) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select exists (select from outbox.stream_step s where s.stream = is_buried.stream and s.action = 'tombstone')
$$;

-- As before; and a stream is buried also while it has events.
create or replace function outbox.hold_stream(stream text, may_make boolean, out id bigint, out category integer, out version bigint)
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
    select (select l.version from outbox.log_stream l where l.stream = hold_stream.id order by l.version desc limit 1),
           exists (select from outbox.stream_step s where s.stream = hold_stream.id and s.action = 'tombstone')
    into hold_stream.version, is_buried;
    if is_buried then
        raise exception 'stream % is buried: it was given a tombstone, and takes no events', hold_stream.stream
            using errcode = 'object_not_in_prerequisite_state', hint = 'Append to a stream of another name.';
    elsif version is null then
        select coalesce(max(s.through), 0) into hold_stream.version from outbox.stream_step s where s.stream = hold_stream.id;
    end if;
end
$$;

create function outbox.refuse_to_keep(reason text, max integer) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if coalesce(btrim(reason), '') = '' then
        raise exception 'a reason must be given: it stays in outbox.stream_step' using errcode = 'invalid_parameter_value';
    elsif max is null or max not between 1 and 100000 then
        raise exception 'max must be 1 to 100000 events, got %', coalesce(max::text, 'null') using errcode = 'invalid_parameter_value';
    elsif current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        raise exception 'refused: this is done in READ COMMITTED transactions, and this one is %', upper(current_setting('transaction_isolation'))
            using errcode = 'feature_not_supported';
    end if;
end
$$;

create or replace function outbox.hold_to_keep(stream text, reason text, max integer, out id bigint, out version bigint)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform outbox.refuse_to_keep(reason, max);
    select h.id, h.version into hold_to_keep.id, hold_to_keep.version from outbox.hold_stream(hold_to_keep.stream, false) h;
    if hold_to_keep.id is null then
        raise exception 'stream % is not there', hold_to_keep.stream using errcode = 'no_data_found';
    end if;
end
$$;

-- The first chunk buries the stream, once all of it may go; those that follow delete. One that is refused leaves it buried, and the next
-- call goes on.
create or replace function outbox.tombstone_stream(stream text, reason text, max integer default 10000, out events bigint, out finished boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    held_id bigint;
    held_version bigint;
    left_there bigint;
begin
    perform outbox.refuse_to_keep(reason, max);
    select s.id into held_id from outbox.stream s where s.name = tombstone_stream.stream for no key update;
    if not found then
        raise exception 'stream % is not there', stream using errcode = 'no_data_found';
    end if;
    held_version := outbox.version_of(held_id);
    if not outbox.is_buried(held_id) then
        perform outbox.hold_topics(held_id, 1, held_version);
        perform outbox.refuse_unpublished(stream, held_id, 1, held_version);
        select count(*) into left_there
        from (select from outbox.log l where l.retention in ('stream', 'archive') and l.stream = held_id limit tombstone_stream.max + 1) l;
        -- One chunk that deletes everything says it by itself.
        if left_there not between 1 and max then
            insert into outbox.stream_step (stream, action, through, events, reason) values (held_id, 'tombstone', held_version, 0, tombstone_stream.reason);
        end if;
    end if;
    select d.events, d.finished into tombstone_stream.events, tombstone_stream.finished
    from outbox.drop_events(stream, held_id, held_version, 'tombstone', reason, max) d;
end
$$;

-- As before, and each chunk is of the action that it belongs to.
create or replace function outbox.drop_events(stream_name text, stream bigint, through bigint, action text, reason text, max integer, out events bigint, out finished boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    first_version bigint;
    last_version bigint;
    gone bigint;
begin
    select min(l.version), max(l.version), count(*) into first_version, last_version, events
    from (select e.version from outbox.log e
          where e.retention in ('stream', 'archive') and e.stream = drop_events.stream and e.version <= through
          order by e.version limit drop_events.max) l;
    finished := not exists (select from outbox.log e where e.retention in ('stream', 'archive') and e.stream = drop_events.stream
                            and e.version > coalesce(last_version, 0) and e.version <= through);
    if events = 0 then
        return;
    end if;
    perform outbox.hold_topics(stream, first_version, last_version);
    perform outbox.refuse_unpublished(stream_name, stream, first_version, last_version);
    insert into outbox.stream_step (stream, action, through, events, reason)
    values (drop_events.stream, drop_events.action, last_version, drop_events.events, drop_events.reason);
    perform outbox.note_removed(stream, first_version, last_version);
    delete from outbox.log l where l.retention in ('stream', 'archive') and l.stream = drop_events.stream and l.version <= last_version;
    get diagnostics gone = row_count;
    perform outbox.expect_count(stream_name, drop_events.events, gone);
    -- They were made of what is gone.
    delete from outbox.stream_snapshot s where s.stream = drop_events.stream;
end
$$;

-- As before; of a stream that is buried, nothing.
create or replace function outbox.read_stream(stream text, after bigint default 0, max integer default null) returns table (
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
        where e.stream_id = (select s.id from outbox.stream s where s.name = read_stream.stream and not outbox.is_buried(s.id)) and e.version > read_stream.after
        order by e.version
        limit read_stream.max;
end
$$;

do $$
declare
    function regprocedure;
begin
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('is_buried', 'hold_stream', 'refuse_to_keep', 'hold_to_keep', 'tombstone_stream', 'drop_events', 'read_stream') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
grant execute on function outbox.is_buried to outbox_reader;
