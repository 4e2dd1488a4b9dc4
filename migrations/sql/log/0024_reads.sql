-- Reads of the event store across streams: page by page through what one snapshot shows, and from there on through what another one
-- shows more. A position would not do: an event of a transaction that commits late lies before events that were read.
--
-- A cursor is what a page left behind, as text. `done`: everything visible in it is read. `goal`: what is being read to; none between
-- two reads. A page looks for rows visible in the goal and not in `done`, by the two arms of a subscription's checkpoint: transactions
-- at or above the xmax of `done`, in order of position, above a floor; and those that `done` lists as open, by transaction.
--
-- The floor is that of the very rows: when a goal is taken, the lowest position of transactions at or above the xmax of `done` is
-- looked up by transaction. (A subscription infers it from the last position drawn before a transaction of its own; a reader has none.)
--
-- The own transaction: a snapshot does not list whoever takes it, so that by it alone what is appended later in the same transaction
-- would count as seen. It is added to the open ones, and what it appended so far is told by its id and the last position drawn.
--
-- Eras: what was appended before the present one, up to its floor, is all visible, whatever its transaction ids are. A cursor of
-- another era, or of another server, is refused.

-- The same snapshot, with a transaction (null: none) among the open ones.
create function outbox.leaving_open(snapshot pg_snapshot, transaction xid8) returns pg_snapshot
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select case when transaction >= pg_snapshot_xmax(snapshot) or transaction is null then snapshot
                else (least(pg_snapshot_xmin(snapshot)::text::numeric, transaction::text::numeric) || ':' || pg_snapshot_xmax(snapshot) || ':'
                      || (select string_agg(open.id::text, ',' order by open.id)
                          from (select pg_snapshot_xip(snapshot) as id union select transaction) open))::pg_snapshot end
$$;

-- A cursor as text: parts between slashes, the last one made of those before, so that a text that was cut or changed is noticed.
create function outbox.cursor_text(
    era integer, system_identifier bigint, filter text, above bigint, done pg_snapshot, own xid8, own_through bigint,
    backward boolean default null, goal pg_snapshot default null, goal_own xid8 default null, floor bigint default null, through bigint default null,
    place bigint default null
) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select parts.said || '/' || substr(encode(sha256(convert_to(parts.said, 'UTF8')), 'hex'), 1, 8)
    from (select concat_ws('/', '1', era, system_identifier, filter, above, done, coalesce(own || '@' || own_through, '-'),
                           case when goal is not null
                                then concat_ws('/', case when backward then 'b' else 'f' end, goal, coalesce(goal_own::text, '-'), floor, through, place) end)) parts (said)
$$;

-- The parts of a cursor, or an error. Nothing is asked of the server.
create function outbox.parse_cursor(
    cursor text, out era integer, out system_identifier bigint, out filter text, out above bigint, out done pg_snapshot, out own xid8,
    out own_through bigint, out backward boolean, out goal pg_snapshot, out goal_own xid8, out floor bigint, out through bigint, out place bigint)
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
    longest constant integer := 1048576;
    parts text[];
    problem text;
begin
    parts := string_to_array(parse_cursor.cursor, '/');
    problem := case
        when octet_length(parse_cursor.cursor) > longest then 'it has ' || octet_length(parse_cursor.cursor) || ' bytes, and 1 MiB is the most'
        when parts[1] is distinct from '1' then 'it does not begin with 1/: it is none, or of a newer version'
        when cardinality(parts) not in (8, 14) then 'it has ' || cardinality(parts) || ' parts, and 8 or 14 were expected'
        when parts[cardinality(parts)] <> substr(encode(sha256(convert_to(array_to_string(parts[:cardinality(parts) - 1], '/'), 'UTF8')), 'hex'), 1, 8)
        then 'its parts and its last one do not agree: it was cut or changed'
        when array_to_string(parts[2:], '/') !~ ('^[1-9][0-9]{0,8}/-?[0-9]{1,19}/(-|[0-9a-f]{8}u?)/[0-9]{1,18}/[0-9]{1,18}:[0-9]{1,18}:[0-9,]*/(-|[0-9]{1,18}@[0-9]{1,18})'
             || '(/[fb]/[0-9]{1,18}:[0-9]{1,18}:[0-9,]*/(-|[0-9]{1,18})/[0-9]{1,18}/[0-9]{1,18}/[0-9]{1,18})?/[0-9a-f]{8}$')
        then 'a part of it is not what it must be' end;
    if problem is not null then
        raise exception 'that is no cursor: %', problem
            using errcode = 'invalid_parameter_value', hint = 'Give what a read returned, as it is. Without one a read begins at the beginning.';
    end if;
    era := parts[2];
    system_identifier := parts[3];
    filter := parts[4];
    above := parts[5];
    done := parts[6];
    own := nullif(split_part(parts[7], '@', 1), '-');
    own_through := nullif(split_part(parts[7], '@', 2), '');
    if cardinality(parts) = 14 then
        backward := parts[8] = 'b';
        goal := parts[9];
        goal_own := nullif(parts[10], '-');
        floor := parts[11];
        through := parts[12];
        place := parts[13];
    end if;
end
$$;

-- A cursor (null: the beginning) where it is to be gone on from: its parts, with what this statement sees, the last position drawn, and
-- the era. Refused where it cannot be told what was appended since. OB410: a cursor that does not fit this server, or this transaction.
create function outbox.take_up_cursor(
    cursor text, out era integer, out system_identifier bigint, out filter text, out above bigint, out done pg_snapshot, out own xid8,
    out own_through bigint, out backward boolean, out goal pg_snapshot, out goal_own xid8, out floor bigint, out through bigint, out place bigint,
    out era_floor bigint, out seen pg_snapshot, out drawn bigint)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    here record;
    told record;
    known pg_snapshot;
    of_transaction xid8;
    problem text;
begin
    if pg_is_in_recovery() then
        raise exception 'this server is a standby: its snapshots leave out transactions in progress, whose events would be missed'
            using errcode = 'read_only_sql_transaction', hint = 'Read across streams on the primary. Single streams can be read here.';
    end if;
    -- The position is read when the snapshot was taken: nothing that it shows lies above.
    select e.era, e.position_floor, e.system_identifier as of_era, system.system_identifier, pg_current_snapshot() as seen,
           case when p.is_called then p.last_value else 0 end as drawn
    into here
    from (select latest.* from outbox.era latest order by latest.era desc limit 1) e
    cross join pg_catalog.pg_control_system() system
    cross join outbox.log_position p;
    if here.of_era <> here.system_identifier then
        raise exception 'this server (%) is not the one that its newest era is of (%): transaction ids of events mean nothing here', here.system_identifier, here.of_era
            using errcode = 'OB410', hint = 'Open an era: outbox-relay recover.';
    end if;
    era := here.era;
    era_floor := here.position_floor;
    system_identifier := here.system_identifier;
    seen := here.seen;
    drawn := here.drawn;
    above := 0;
    -- Every transaction id is at least 3.
    done := '3:3:';
    if take_up_cursor.cursor is null then
        return;
    end if;
    select p.* into told from outbox.parse_cursor(take_up_cursor.cursor) p;
    known := coalesce(told.goal, told.done);
    of_transaction := coalesce(told.goal_own, told.own);
    problem := case
        when told.system_identifier <> here.system_identifier
        then format('it is of server %s, and this one is %s', told.system_identifier, here.system_identifier)
        when told.era <> here.era then format('it is of era %s, and this is era %s: the database went back in time since, or was before', told.era, here.era)
        when pg_snapshot_xmax(known) > pg_snapshot_xmax(seen) and current_setting('transaction_isolation') = 'read committed'
        then format('it knows of transactions up to %s, and the next one here is %s: the database went back in time', pg_snapshot_xmax(known), pg_snapshot_xmax(seen))
        when pg_snapshot_xmax(known) > pg_snapshot_xmax(seen) or exists (select from pg_snapshot_xip(seen) open where pg_visible_in_snapshot(open, known))
        then 'this transaction began to see before the cursor was taken: it does not see everything that is told as read'
        when of_transaction is distinct from pg_current_xact_id_if_assigned() and not pg_visible_in_snapshot(of_transaction, seen)
        then format('it was taken in transaction %s, which has not ended: it is to be used there, or when that has committed', of_transaction) end;
    if problem is not null then
        raise exception 'this cursor cannot be gone on from: %', problem
            using errcode = 'OB410', hint = 'Read from the beginning, or from a cursor of this database as it is now.';
    end if;
    filter := told.filter;
    above := told.above;
    done := told.done;
    own := told.own;
    own_through := told.own_through;
    backward := told.backward;
    goal := told.goal;
    goal_own := told.goal_own;
    floor := told.floor;
    through := told.through;
    place := told.place;
end
$$;

-- Below the rows of transactions that a snapshot took for not begun; `through`: there is none. By transaction: neither the position
-- nor the number of rows in the store matters, only how many are new.
create function outbox.floor_of_new(done pg_snapshot, above bigint, through bigint) returns bigint
language plpgsql volatile set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
begin
    return (
        select coalesce(min(new_row.position) - 1, through)
        from (
            -- In the order of the index that is to be used.
            select l.position from outbox.log l
            where l.retention in ('stream', 'archive') and l.stream is not null
              and l.transaction_id >= pg_snapshot_xmax(done) and l.position > above and l.position <= through
            order by l.transaction_id, l.position
            offset 0
        ) new_row);
end
$$;

-- A page of events of all streams, or of those of some categories and types; null: all. From a cursor on, or from the beginning; what
-- was recorded until a time; what lies above a position. Backward: from the newest on. At most `max` events and, but for the last of
-- them, `max_bytes` of payloads, each with 512 for the rest of it.
-- The last row is no event. It has the cursor behind the page, and whether that was all there was to see when the read began. A page
-- may have fewer events than `max`, or none, without being the last: where few are wanted, it ends when many were looked at.
create function outbox.read_events(
    cursor text default null, categories text[] default null, types text[] default null, until timestamptz default null, above bigint default null,
    backward boolean default false, max integer default 500, max_bytes bigint default 4194304
) returns table (
    "position" bigint, stream text, version bigint, id uuid, type text, data json, data_binary bytea, recorded_at timestamptz, source text, subject text,
    "time" timestamptz, data_content_type text, data_schema text, schema_version text, correlation_id text, causation_id text, traceparent text,
    tracestate text, extensions json, tags text[], topic text, archived boolean, next_cursor text, at_end boolean
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set jit = off set enable_seqscan = off set enable_bitmapscan = off
set enable_sort = off as $$
#variable_conflict use_column
declare
    place record;
    candidate record;
    candidates refcursor;
    wanted_filter text;
    category_ids integer[];
    look_at_most bigint;
    looked bigint := 0;
    bytes bigint := 0;
    found_positions bigint[] := '{}';
    lower bigint;
    late_lower bigint;
    upper bigint;
    is_done_nothing boolean;
begin
    if read_events.max is null or read_events.max not between 1 and 10000 then
        raise exception 'max must be 1 to 10000 events, got %', coalesce(read_events.max::text, 'null') using errcode = 'invalid_parameter_value';
    elsif read_events.max_bytes is null or read_events.max_bytes < 1 then
        raise exception 'max_bytes must be at least 1, got %', coalesce(read_events.max_bytes::text, 'null') using errcode = 'invalid_parameter_value';
    elsif cardinality(categories) = 0 or cardinality(types) = 0 or cardinality(categories) > 100 or cardinality(types) > 1000 then
        raise exception 'categories must be null or 1 to 100, and types null or 1 to 1000' using errcode = 'invalid_parameter_value';
    elsif array_position(categories, null) is not null or array_position(types, null) is not null then
        raise exception 'categories and types must not have a null among them' using errcode = 'invalid_parameter_value';
    elsif read_events.backward is null then
        raise exception 'backward must be true or false' using errcode = 'invalid_parameter_value';
    elsif read_events.above < 0 or read_events.above is not null and read_events.cursor is not null then
        raise exception 'above must be a position, and is for reads without a cursor: a cursor has it' using errcode = 'invalid_parameter_value';
    end if;
    wanted_filter := case when coalesce(categories, types) is not null or until is not null then
        substr(encode(sha256(convert_to(json_build_array(
            array(select distinct c from unnest(categories) c order by c), array(select distinct t from unnest(types) t order by t),
            extract(epoch from until))::text, 'UTF8')), 'hex'), 1, 8) || case when until is not null then 'u' else '' end
        else '-' end;
    select t.* into place from outbox.take_up_cursor(read_events.cursor) t;
    if place.filter <> '-' and place.filter <> wanted_filter then
        raise exception 'this cursor is of a read of other categories or types, or until another time: what it took no notice of would be missed'
            using errcode = 'OB410', hint = 'Give those with which it was read. A cursor of a read of everything fits any.';
    elsif place.backward <> read_events.backward then
        raise exception 'this cursor is in the middle of a read %', case when place.backward then 'backward' else 'forward' end
            using errcode = 'OB410', hint = 'Go on in the same direction to the end, or begin again.';
    end if;
    place.above := coalesce(read_events.above, place.above);
    is_done_nothing := pg_snapshot_xmax(place.done) = '3'::xid8;
    late_lower := greatest(place.above, case when not is_done_nothing then place.era_floor end);
    if place.goal is null then
        place.goal_own := pg_current_xact_id_if_assigned();
        place.goal := outbox.leaving_open(place.seen, place.goal_own);
        place.through := place.drawn;
        place.floor := case when is_done_nothing then place.above else outbox.floor_of_new(place.done, late_lower, place.through) end;
        place.place := case when read_events.backward then place.through + 1 else 0 end;
    end if;
    category_ids := case when categories is not null then array(select c.id from outbox.category c where c.name = any(categories)) end;
    -- Where all that is looked at is wanted, one more than a page says whether there is more.
    look_at_most := case when types is null and until is null then read_events.max + 1 else read_events.max * 10 end;
    lower := greatest(place.floor, late_lower);
    upper := place.through;
    if read_events.backward then
        upper := least(upper, place.place - 1);
    else
        lower := greatest(lower, place.place);
        late_lower := greatest(late_lower, place.place);
    end if;

    -- Each arm has its first rows, as many as are looked at, so that the first of all are among them. Rows of open transactions are found
    -- by transaction, whatever their category is. Bounds are pairs and sorts are off, so that the order of an arm names its index.
    if category_ids is null and not read_events.backward then
        open candidates for
            select merged.* from (
                (select l.position, (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                        coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                 from outbox.log l
                 where l.retention in ('stream', 'archive') and l.stream is not null and l.position > lower and l.position <= upper
                   and l.transaction_id >= pg_snapshot_xmax(place.done)
                   and (l.position <= place.era_floor or pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                   and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                 order by l.position limit look_at_most)
                union all
                select late_row.* from pg_snapshot_xip(place.done) late cross join lateral (
                    select l.position, (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                           coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                    from outbox.log l
                    where l.retention in ('stream', 'archive') and l.stream is not null and (l.transaction_id, l.position) > (late, late_lower) and (l.transaction_id, l.position) <= (late, upper)
                      and (pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                      and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                    order by l.transaction_id, l.position limit look_at_most) late_row
            ) merged
            order by merged.position limit look_at_most;
    elsif category_ids is null then
        open candidates for
            select merged.* from (
                (select l.position, (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                        coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                 from outbox.log l
                 where l.retention in ('stream', 'archive') and l.stream is not null and l.position > lower and l.position <= upper
                   and l.transaction_id >= pg_snapshot_xmax(place.done)
                   and (l.position <= place.era_floor or pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                   and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                 order by l.position desc limit look_at_most)
                union all
                select late_row.* from pg_snapshot_xip(place.done) late cross join lateral (
                    select l.position, (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                           coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                    from outbox.log l
                    where l.retention in ('stream', 'archive') and l.stream is not null and (l.transaction_id, l.position) > (late, late_lower) and (l.transaction_id, l.position) <= (late, upper)
                      and (pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                      and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                    order by l.transaction_id desc, l.position desc limit look_at_most) late_row
            ) merged
            order by merged.position desc limit look_at_most;
    elsif not read_events.backward then
        open candidates for
            select merged.* from (
                select new_row.* from unnest(category_ids) c cross join lateral (
                    select l.position, (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                           coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                    from outbox.log l
                    where l.retention in ('stream', 'archive') and l.stream is not null and (l.category, l.position) > (c, lower) and (l.category, l.position) <= (c, upper)
                      and l.transaction_id >= pg_snapshot_xmax(place.done)
                      and (l.position <= place.era_floor or pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                      and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                    order by l.category, l.position limit look_at_most) new_row
                union all
                select late_row.* from pg_snapshot_xip(place.done) late cross join lateral (
                    select l.position, l.category = any(category_ids) and (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                           coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                    from outbox.log l
                    where l.retention in ('stream', 'archive') and l.stream is not null and (l.transaction_id, l.position) > (late, late_lower) and (l.transaction_id, l.position) <= (late, upper)
                      and (pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                      and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                    order by l.transaction_id, l.position limit look_at_most) late_row
            ) merged
            order by merged.position limit look_at_most;
    else
        open candidates for
            select merged.* from (
                select new_row.* from unnest(category_ids) c cross join lateral (
                    select l.position, (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                           coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                    from outbox.log l
                    where l.retention in ('stream', 'archive') and l.stream is not null and (l.category, l.position) > (c, lower) and (l.category, l.position) <= (c, upper)
                      and l.transaction_id >= pg_snapshot_xmax(place.done)
                      and (l.position <= place.era_floor or pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                      and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                    order by l.category desc, l.position desc limit look_at_most) new_row
                union all
                select late_row.* from pg_snapshot_xip(place.done) late cross join lateral (
                    select l.position, l.category = any(category_ids) and (types is null or l.type = any(types)) and (until is null or l.recorded_at <= until) as is_wanted,
                           coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                    from outbox.log l
                    where l.retention in ('stream', 'archive') and l.stream is not null and (l.transaction_id, l.position) > (late, late_lower) and (l.transaction_id, l.position) <= (late, upper)
                      and (pg_visible_in_snapshot(l.transaction_id, place.goal) or l.transaction_id = place.goal_own)
                      and (l.transaction_id = place.own and l.position <= place.own_through) is not true
                    order by l.transaction_id desc, l.position desc limit look_at_most) late_row
            ) merged
            order by merged.position desc limit look_at_most;
    end if;
    at_end := false;
    loop
        fetch candidates into candidate;
        if not found then
            at_end := looked < look_at_most;
            exit;
        end if;
        -- The first that has no room: the next page begins with it.
        exit when candidate.is_wanted and (cardinality(found_positions) >= read_events.max or bytes >= read_events.max_bytes);
        looked := looked + 1;
        place.place := candidate.position;
        if candidate.is_wanted then
            found_positions := found_positions || candidate.position;
            bytes := bytes + candidate.bytes;
        end if;
    end loop;
    close candidates;

    return query
        select e.position, e.stream, e.version, e.id, e.type, e.data::json, e.data_binary, e.recorded_at, e.source, e.subject, e."time", e.data_content_type,
               e.data_schema, e.schema_version, e.correlation_id, e.causation_id, e.traceparent, e.tracestate, e.extensions, e.tags, e.topic, e.archived,
               null::text, null::boolean
        from unnest(found_positions) with ordinality f (position, n)
        cross join lateral (select s.* from outbox.stored_event s where s.position = f.position offset 0) e
        order by f.n;
    next_cursor := case when at_end
        then outbox.cursor_text(place.era, place.system_identifier, wanted_filter, place.above, place.goal, place.goal_own, case when place.goal_own is not null then place.through end)
        else outbox.cursor_text(place.era, place.system_identifier, wanted_filter, place.above, place.done, place.own, place.own_through,
                                read_events.backward, place.goal, place.goal_own, place.floor, place.through, place.place) end;
    return next;
end
$$;

-- A cursor behind everything that can be seen now: what it is gone on from is what comes from here on, late commits included.
create function outbox.newest_cursor() returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    place record;
    own constant xid8 := pg_current_xact_id_if_assigned();
begin
    select t.* into place from outbox.take_up_cursor(null) t;
    return outbox.cursor_text(place.era, place.system_identifier, '-', 0, outbox.leaving_open(place.seen, own), own, case when own is not null then place.drawn end);
end
$$;

-- What a cursor at the end of a read stands for: everything visible in a snapshot, and of the transaction in which it was taken what lies
-- up to a position (null: it had no id then). What lies up to `era_floor` is seen too, whatever its transaction ids are. Refused where it
-- stands for less.
create function outbox.cursor_snapshot(cursor text, out snapshot pg_snapshot, out own xid8, out own_through bigint, out era_floor bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    place record;
begin
    if cursor_snapshot.cursor is null then
        raise exception 'a cursor must be given' using errcode = 'invalid_parameter_value';
    end if;
    select t.* into place from outbox.take_up_cursor(cursor_snapshot.cursor) t;
    if place.goal is not null then
        raise exception 'this cursor stands for no snapshot: the read that it is of has not come to its end'
            using errcode = 'OB410', hint = 'Go on reading until at_end.';
    elsif place.above > 0 or place.filter like '%u' then
        raise exception 'this cursor stands for no snapshot: it is of a read from a position on, or until a time'
            using errcode = 'OB410', hint = 'Read all of it.';
    elsif place.own is distinct from pg_current_xact_id_if_assigned() and pg_xact_status(place.own) = 'aborted' then
        raise exception 'this cursor was taken in transaction %, which was rolled back: what was read of it never was', place.own
            using errcode = 'OB410', hint = 'Read again.';
    end if;
    snapshot := place.done;
    own := place.own;
    own_through := place.own_through;
    era_floor := place.era_floor;
end
$$;

do $$
declare
    function regprocedure;
begin
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('leaving_open', 'cursor_text', 'parse_cursor', 'take_up_cursor', 'floor_of_new', 'read_events', 'newest_cursor', 'cursor_snapshot') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
grant execute on function outbox.read_events, outbox.newest_cursor, outbox.cursor_snapshot to outbox_reader;
