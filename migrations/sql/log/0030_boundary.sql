-- The dynamic consistency boundary: appending under the condition that no event of some types and tags has come that the read before it did
-- not see. The read is told by its cursor, which holds a snapshot: an event of a transaction that was open then breaks the condition when it
-- commits, wherever it lies. Decided under locks of tags (hold_tags), at READ COMMITTED.

-- The items of a condition: any of its types (null: all types) and all of its tags. An event is of the condition that is of one of them.
-- The first tag of an item is the one that is locked, and that it is looked for by.
create function outbox.condition_items(condition json) returns table (tags text[], types text[])
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    said text;
begin
    if condition is null or json_typeof(condition) <> 'array' or json_array_length(condition) not between 1 and 64 then
        raise exception 'condition refused: it must be a JSON array of 1 to 64 objects with tags and types, got %',
            coalesce(case json_typeof(condition) when 'array' then 'one of ' || json_array_length(condition) else 'a JSON ' || json_typeof(condition) end, 'null')
            using errcode = 'invalid_parameter_value';
    end if;
    select p.problem into said from (select i.n, case
        when json_typeof(i.item) <> 'object' then 'each item must be an object with tags and types, got a JSON ' || json_typeof(i.item)
        when exists (select from json_object_keys(i.item) k where k not in ('tags', 'types'))
        then 'an item has tags and types, and no ' || (select quote_literal(left(k, 100)) from json_object_keys(i.item) k where k not in ('tags', 'types') limit 1)
        when coalesce(json_typeof(i.item -> 'tags'), 'null') = 'null' or json_typeof(i.item -> 'tags') = 'array' and json_array_length(i.item -> 'tags') = 0
        then 'each item must name a tag: what has types alone would make every append wait. Give such events a tag of their own'
        when json_typeof(i.item -> 'tags') <> 'array' or json_array_length(i.item -> 'tags') > 32
             or exists (select from json_array_elements(i.item -> 'tags') t
                        where json_typeof(t) <> 'string' or t #>> '{}' = '' or octet_length(t #>> '{}') > 200)
        then 'tags must be an array of 1 to 32 texts of 1 to 200 bytes'
        when coalesce(json_typeof(i.item -> 'types'), 'null') = 'null' then null
        when json_typeof(i.item -> 'types') <> 'array' or json_array_length(i.item -> 'types') not between 1 and 100
             or exists (select from json_array_elements(i.item -> 'types') t where json_typeof(t) <> 'string' or octet_length(t #>> '{}') not between 1 and 200)
        then 'types must be an array of 1 to 100 texts of 1 to 200 bytes, or be left out: all types' end as problem
    from json_array_elements(condition) with ordinality i (item, n)) p
    where p.problem is not null order by p.n limit 1;
    if said is not null then
        raise exception 'condition refused: %', said using errcode = 'invalid_parameter_value';
    end if;
    return query
        select array(select t.tag from json_array_elements_text(i.item -> 'tags') with ordinality t (tag, n) order by t.n),
               case when json_typeof(i.item -> 'types') = 'array' then array(select t from json_array_elements_text(i.item -> 'types') t) end
        from json_array_elements(condition) i (item);
end
$$;

-- The first event of a condition that a cursor has not seen. Only what came since is looked at, by the transactions that bring it.
create function outbox.find_unseen(condition json, seen pg_snapshot, own xid8, own_through bigint, era_floor bigint, out "position" bigint, out type text)
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    -- Of its own transaction, a cursor has seen what was there when it was taken.
    late constant xid8[] := array(select x from pg_snapshot_xip(seen) x union select own where own is not null);
begin
    select found.position, found.type into find_unseen.position, find_unseen.type
    from outbox.condition_items(condition) i
    cross join lateral (
        select e.position, e.type
        from (
            select t.position, t.type, t.transaction_id from outbox.event_tag t where t.tag = i.tags[1] and t.transaction_id >= pg_snapshot_xmax(seen)
            union all
            select t.position, t.type, t.transaction_id
            from unnest(late) l (transaction_id) join outbox.event_tag t on t.tag = i.tags[1] and t.transaction_id = l.transaction_id
        ) e
        -- Before the era began there is nothing that its cursors have not seen, whatever the transaction ids are.
        where e.position > era_floor and (e.transaction_id is distinct from own or e.position > own_through)
          and (i.types is null or e.type = any(i.types))
          and not exists (select from unnest(i.tags[2:]) o (tag)
                          where not exists (select from outbox.event_tag p where p.tag = o.tag and p.position = e.position))
    ) found
    order by found.position limit 1;
end
$$;

-- Tells conditions apart, whatever the order of their items, tags and types is.
create function outbox.condition_filter(condition json) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select substr(encode(sha256(convert_to(string_agg(said.item, ',' order by said.item collate "C"), 'UTF8')), 'hex'), 1, 8)
    from (
        select json_build_array(array(select distinct t.tag collate "C" from unnest(i.tags) t (tag) order by 1),
                                case when i.types is not null then array(select distinct t.type collate "C" from unnest(i.types) t (type) order by 1) end)::text as item
        from outbox.condition_items(condition) i
    ) said
$$;

-- What a conditional append begins with: it locks the streams, then the tags, and looks at the condition behind them, by a statement of its
-- own: whoever appended an event with one of the locked tags has committed, and is seen, or waits until this transaction has ended.
-- Returns the first event that is of the condition and was not seen. The same call again, told by the ids of its events, is no question of
-- the condition, which its own events may have broken since, nor of the cursor, which may be of an era before.
create function outbox.hold_boundary(streams text[], expected bigint[], ids uuid[], tags text[], condition json, cursor text,
                                     out "position" bigint, out type text, out versions bigint[])
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off as $$
declare
    read record;
    filter text;
    watched constant text[] := array(select i.tags[1] from outbox.condition_items(condition) i);
    kept constant text[] := outbox.tags_of(tags);
    place integer;
    held record;
    held_ids bigint[] := '{}';
begin
    if coalesce(cardinality(streams), 0) = 0 then
        raise exception 'append refused: a conditional append names one stream at least' using errcode = 'invalid_parameter_value';
    end if;
    versions := array_fill(0::bigint, array[cardinality(streams)]);
    for place in select s.n from unnest(streams) with ordinality s (name, n) order by s.name collate "C" loop
        held := outbox.hold_stream(streams[place], coalesce(expected[place], 0) = 0);
        versions[place] := coalesce(held.version, 0);
        held_ids := held_ids || held.id;
    end loop;
    -- In these streams, which are locked: an event of another one might be gone before it is looked for again.
    if exists (select from unnest(ids) e (id) cross join lateral (
                   select l.stream from outbox.log_stream l where l.id = e.id union all select l.stream from outbox.log_archive l where l.id = e.id) known
               where known.stream = any(held_ids)) then
        return;
    end if;
    read := outbox.cursor_snapshot(cursor);
    filter := (outbox.parse_cursor(cursor)).filter;
    if filter not in ('-', outbox.condition_filter(condition)) then
        raise exception 'this cursor is of a read of something else than this condition: what that took no notice of may have been there'
            using errcode = 'OB410', hint = 'Give the cursor of a read of this very condition, or of a read of everything.';
    end if;
    perform outbox.hold_tags(kept, watched);
    select u.position, u.type into hold_boundary.position, hold_boundary.type
    from outbox.find_unseen(condition, read.snapshot, read.own, read.own_through, read.era_floor) u;
    if hold_boundary.position is null then
        -- Those of the events are counted again where they are appended.
        perform set_config('outbox.tags_held', (current_setting('outbox.tags_held')::integer - cardinality(kept))::text, true);
    end if;
end
$$;

-- As append_to_streams, if there is no event of the condition that the cursor has not seen. Otherwise all outcomes are `conflict`, with the
-- position and type of the first one.
create function outbox.append_to_streams_if(
    streams text[], expected bigint[], numbers integer[],
    ids uuid[], topics text[], types text[], sources text[], subjects text[], times timestamptz[],
    data_content_types text[], data_schemas text[], schema_versions text[], correlation_ids text[], causation_ids text[],
    traceparents text[], tracestates text[], extensions text[], data text[], data_binaries bytea[], tags text[],
    condition json, cursor text
) returns table (number integer, outcome text, version bigint, positions bigint[], unseen_position bigint, unseen_type text)
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_variable
declare
    held record;
begin
    held := outbox.hold_boundary(streams, expected, ids, tags, condition, cursor);
    if held.position is not null then
        return query
            select s.n::integer, 'conflict', s.version, null::bigint[], held.position, held.type
            from unnest(held.versions) with ordinality s (version, n);
    else
        return query
            select a.number, a.outcome, a.version, a.positions, null::bigint, null::text
            from outbox.append_to_streams(streams, expected, numbers, ids, topics, types, sources, subjects, times, data_content_types, data_schemas,
                                          schema_versions, correlation_ids, causation_ids, traceparents, tracestates, extensions, data, data_binaries, tags) a;
    end if;
end
$$;

-- The same for one stream from any language: as append_to_stream, with a condition and the cursor of the read that was decided on. Error OB409
-- where an event of the condition was not seen, and where the stream is not at the version expected.
create function outbox.append_if(stream text, expected bigint, events json, condition json, cursor text) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
    held record;
begin
    if json_typeof(events) = 'array' then
        select h.position, h.type into held
        from (select array_agg((e ->> 'id')::uuid) as ids, array_agg((e -> 'tags')::text) as tags
              from json_array_elements(events) e where json_typeof(e) = 'object') c
        cross join lateral outbox.hold_boundary(array[append_if.stream], array[append_if.expected], coalesce(c.ids, '{}'), coalesce(c.tags, '{}'),
                                                append_if.condition, append_if.cursor) h;
        if held.position is not null then
            raise exception 'the condition is broken by an event that the read did not see: %, at position %', held.type, held.position
                using errcode = 'OB409', detail = format('position %s, type %s', held.position, held.type),
                      hint = 'Read again, decide again, and append with the cursor of that read.';
        end if;
    end if;
    return outbox.append_to_stream(stream, expected, events);
end
$$;

-- A page of the events of a condition: from a cursor on, or from the beginning. At most `max` events and, but for the last of them, `max_bytes`
-- of payloads, each with 512 for the rest of it. As read_events has it, the last row is no event: it has the cursor behind the page, and
-- whether that was all there was to see when the read began. Then it is the cursor to append with.
create function outbox.read_tagged(condition json, cursor text default null, max integer default 500, max_bytes bigint default 4194304) returns table (
    "position" bigint, stream text, version bigint, id uuid, type text, data json, data_binary bytea, recorded_at timestamptz, source text, subject text,
    "time" timestamptz, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text,
    tracestate text, extensions json, tags text[], topic text, archived boolean, next_cursor text, at_end boolean
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
    place record;
    wanted_filter text;
    found_positions bigint[];
    taken bigint;
begin
    if read_tagged.max is null or read_tagged.max not between 1 and 10000 then
        raise exception 'max must be 1 to 10000 events, got %', coalesce(read_tagged.max::text, 'null') using errcode = 'invalid_parameter_value';
    elsif read_tagged.max_bytes is null or read_tagged.max_bytes < 1 then
        raise exception 'max_bytes must be at least 1, got %', coalesce(read_tagged.max_bytes::text, 'null') using errcode = 'invalid_parameter_value';
    end if;
    wanted_filter := outbox.condition_filter(read_tagged.condition);
    place := outbox.take_up_cursor(read_tagged.cursor);
    if place.filter not in ('-', wanted_filter) or place.backward then
        raise exception 'this cursor is of another read: what that took no notice of would be missed'
            using errcode = 'OB410', hint = 'Give the condition with which it was read. A cursor of a read of everything, at its end, fits any.';
    end if;
    if place.goal is null then
        place.goal_own := pg_current_xact_id_if_assigned();
        place.goal := outbox.leaving_open(place.seen, place.goal_own);
        place.through := place.drawn;
        place.place := place.above;
    end if;
    if pg_snapshot_xmax(place.done) = '3'::xid8 then
        found_positions := array(
            select distinct f.position
            from outbox.condition_items(read_tagged.condition) i
            cross join lateral (
                select t.position from outbox.event_tag t
                where t.tag = i.tags[1] and t.position > place.place and t.position <= place.through
                  and (t.position <= place.era_floor or pg_visible_in_snapshot(t.transaction_id, place.goal) or t.transaction_id = place.goal_own)
                  and (i.types is null or t.type = any(i.types))
                  and not exists (select from unnest(i.tags[2:]) o (tag)
                                  where not exists (select from outbox.event_tag p where p.tag = o.tag and p.position = t.position))
                order by t.position limit read_tagged.max + 1
            ) f
            order by f.position limit read_tagged.max + 1);
    else
        found_positions := array(
            select distinct f.position
            from outbox.condition_items(read_tagged.condition) i
            cross join lateral (
                select e.position
                from (
                    select t.position, t.type, t.transaction_id from outbox.event_tag t
                    where t.tag = i.tags[1] and t.transaction_id >= pg_snapshot_xmax(place.done)
                    union all
                    select t.position, t.type, t.transaction_id
                    from pg_snapshot_xip(place.done) late join outbox.event_tag t on t.tag = i.tags[1] and t.transaction_id = late
                ) e
                where e.position > greatest(place.place, place.era_floor) and e.position <= place.through
                  and (pg_visible_in_snapshot(e.transaction_id, place.goal) or e.transaction_id = place.goal_own)
                  and (e.transaction_id = place.own and e.position <= place.own_through) is not true
                  and (i.types is null or e.type = any(i.types))
                  and not exists (select from unnest(i.tags[2:]) o (tag)
                                  where not exists (select from outbox.event_tag p where p.tag = o.tag and p.position = e.position))
                order by e.position limit read_tagged.max + 1
            ) f
            order by f.position limit read_tagged.max + 1);
    end if;
    -- How many have room; the first always.
    select coalesce(max(s.n) filter (where s.n <= read_tagged.max and s.bytes_before < read_tagged.max_bytes), read_tagged.max),
           cardinality(found_positions) <= read_tagged.max and coalesce(bool_and(s.bytes_before < read_tagged.max_bytes), true)
    into taken, at_end
    from (
        select f.n, sum(e.bytes) over (order by f.n) - e.bytes as bytes_before
        from unnest(found_positions) with ordinality f (position, n)
        cross join lateral (select coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                            from outbox.stored_event l where l.position = f.position offset 0) e
    ) s;
    return query
        select e.position, e.stream, e.version, e.id, e.type, e.data::json, e.data_binary, e.recorded_at, e.source, e.subject, e."time", e.data_content_type,
               e.data_schema, e.schema_version, e.correlation_id, e.causation_id, e.traceparent, e.tracestate, e.extensions, e.tags, e.topic, e.archived,
               null::text, null::boolean
        from unnest(found_positions[:taken]) with ordinality f (position, n)
        cross join lateral (select s.* from outbox.stored_event s where s.position = f.position offset 0) e
        order by f.n;
    next_cursor := case when at_end
        then outbox.cursor_text(place.era, place.system_identifier, wanted_filter, place.above, place.goal, place.goal_own, case when place.goal_own is not null then place.through end)
        else outbox.cursor_text(place.era, place.system_identifier, wanted_filter, place.above, place.done, place.own, place.own_through,
                                false, place.goal, place.goal_own, 0, place.through, found_positions[taken]) end;
    return next;
end
$$;

do $$
declare
    function regprocedure;
begin
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('condition_items', 'condition_filter', 'find_unseen', 'hold_boundary', 'append_to_streams_if', 'append_if', 'read_tagged') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
grant execute on function outbox.append_to_streams_if, outbox.append_if to outbox_producer;
grant execute on function outbox.read_tagged to outbox_reader;
