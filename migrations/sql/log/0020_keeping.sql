-- How rows of a stream leave: into the archive and back, or for good. Each call is a chunk of bounded size, and leaves a row in
-- outbox.stream_step that says who did it, and why.

-- Append-only, also for the owner. Rows of streams may move or go while a step of this very transaction names them.
create or replace function outbox.refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    kept text;
begin
    if tg_level = 'ROW' and tg_relid in ('outbox.log_stream'::regclass, 'outbox.log_archive'::regclass) then
        if tg_op = 'UPDATE' then
            -- Only from one piece to the other, as it is.
            kept := new.retention;
            new.retention := old.retention;
            if kept <> old.retention and kept in ('stream', 'archive') and new *= old
               and outbox.is_named_by_step(old.stream, old.version, array[case kept when 'archive' then 'archive' else 'restore' end]) then
                new.retention := kept;
                -- To move is to delete there and to insert here: the deletion that follows is this one.
                perform set_config('outbox.moving', old.position::text, true);
                return new;
            end if;
        elsif current_setting('outbox.moving', true) = old.position::text
              and outbox.is_named_by_step(old.stream, old.version, array['archive', 'restore']) then
            perform set_config('outbox.moving', '', true);
            return old;
        elsif outbox.is_named_by_step(old.stream, old.version, array['truncate', 'tombstone']) then
            return old;
        end if;
    end if;
    raise exception 'outbox.% is append-only: % refused', tg_table_name, lower(tg_op)
        using errcode = 'insufficient_privilege',
              hint = case when tg_table_name in ('log_stream', 'log_archive')
                          then 'Rows of streams leave by outbox.archive_stream, restore_stream, truncate_stream and tombstone_stream.'
                          else 'Rows leave with their piece, when every stream has passed it and its retention is over.' end;
end
$$;

-- A trigger of the log as a whole does not see one of its pieces emptied.
create trigger append_only_as_a_whole before truncate on outbox.log_stream for each statement execute function outbox.refuse_change();
create trigger append_only_as_a_whole before truncate on outbox.log_archive for each statement execute function outbox.refuse_change();

-- Whether a step of this transaction names this row of a stream.
create function outbox.is_named_by_step(stream bigint, version bigint, actions text[]) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select exists (
        select from outbox.stream_step s
        where s.stream = is_named_by_step.stream and s.transaction_id = pg_current_xact_id_if_assigned() and s.action = any(actions)
          and is_named_by_step.version > s.through - s.events and is_named_by_step.version <= s.through)
$$;

-- Refuses what is not yet on its topic's streams, what was set aside there included: as upkeep decides about pieces of the log.
-- A re-issue in progress has rows from long before its batch, and so has what an era begins with.
create function outbox.refuse_unpublished(stream_name text, stream bigint, first bigint, last bigint) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    waits record;
begin
    with going as (
        select l.version, l.topic, l.position, l.transaction_id
        from outbox.log l
        where l.retention in ('stream', 'archive') and l.stream = refuse_unpublished.stream and l.version between first and last and l.topic is not null
    ), named as (
        select s.topic, s.partition from outbox.topic_stream s where s.topic in (select g.topic from going g)
    ), at as (
        select passed.batch_number as passed_number, passed.position as passed_position, coalesce(again.base_number, opened.needed_number) as needed_number,
               ahead.batch_number as target_number, ahead.last_position as target_position
        from named
        cross join lateral (
            select s.batch_number, s.last_position from outbox.share s
            where s.topic = named.topic and s.partition = named.partition order by s.batch_number desc limit 1
        ) ahead
        left join lateral (
            select p.batch_number, p.position from outbox.progress p
            where p.topic = named.topic and p.partition = named.partition order by p.batch_number desc, p.position desc limit 1
        ) passed on true
        left join outbox.reissue again on again.batch_number = passed.batch_number
        left join lateral (select 0::bigint as needed_number from outbox.era e where e.batch_number > 0 and e.batch_number = passed.batch_number) opened on true
    ), floor as (
        select greatest(coalesce(
            (select min(coalesce(at.needed_number, at.passed_number - 1, 0)) from at
             where (coalesce(at.passed_number, 0), coalesce(at.passed_position, 0)) < (at.target_number, at.target_position)),
            (select max(b.number) from outbox.batch b)), 0) as number
    ), within as (
        select e.era, e.position_floor from outbox.era e, floor where e.batch_number <= floor.number order by e.era desc limit 1
    ), passed as (
        select coalesce((select b.snapshot from outbox.batch b, floor where b.number <= floor.number order by b.number desc limit 1), '3:3:') as snapshot,
               coalesce((select within.position_floor from within), 0) as era_floor,
               coalesce((select e.cut_through from outbox.era e, within where e.era = within.era + 1), 9223372036854775807) as era_end
    )
    select going.version, going.topic into waits
    from going, passed
    where going.position > passed.era_end or going.position > passed.era_floor and not pg_visible_in_snapshot(going.transaction_id, passed.snapshot)
    order by going.version limit 1;
    if found then
        raise exception 'stream % keeps version %: it is not yet published to topic %', stream_name, waits.version, waits.topic
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'Wait until the relay has passed it (outbox_ops.topics), or take up again what was set aside.';
    end if;
end
$$;

-- What every such call begins with: the reason, the size of the chunk, and the lock of the stream.
create function outbox.hold_to_keep(stream text, reason text, max integer, out id bigint, out version bigint)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if coalesce(btrim(reason), '') = '' then
        raise exception 'a reason must be given: it stays in outbox.stream_step' using errcode = 'invalid_parameter_value';
    elsif max is null or max not between 1 and 100000 then
        raise exception 'max must be 1 to 100000 events, got %', coalesce(max::text, 'null') using errcode = 'invalid_parameter_value';
    elsif current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        raise exception 'refused: this is done in READ COMMITTED transactions, and this one is %', upper(current_setting('transaction_isolation'))
            using errcode = 'feature_not_supported';
    end if;
    select h.id, h.version into hold_to_keep.id, hold_to_keep.version from outbox.hold_stream(hold_to_keep.stream, false) h;
    if hold_to_keep.id is null then
        raise exception 'stream % is not there', hold_to_keep.stream using errcode = 'no_data_found';
    end if;
end
$$;

-- Moves events up to version `through` (null: all) out of the hot piece, oldest first, `max` at a time. They are read as before, and
-- keep position and transaction id. Call it until `finished`.
create function outbox.archive_stream(stream text, through bigint, reason text, max integer default 10000, out events bigint, out finished boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    held record;
    first_version bigint;
    last_version bigint;
    moved bigint;
begin
    held := outbox.hold_to_keep(stream, reason, max);
    select min(l.version), max(l.version), count(*) into first_version, last_version, events
    from (select s.version from outbox.log_stream s where s.stream = held.id and s.version <= coalesce(through, held.version)
          order by s.version limit archive_stream.max) l;
    if events > 0 then
        perform outbox.refuse_unpublished(stream, held.id, first_version, last_version);
        insert into outbox.stream_step (stream, action, through, events, reason) values (held.id, 'archive', last_version, archive_stream.events, archive_stream.reason);
        update outbox.log l set retention = 'archive' where l.retention = 'stream' and l.stream = held.id and l.version <= last_version;
        get diagnostics moved = row_count;
        perform outbox.expect_count(stream, archive_stream.events, moved);
    end if;
    finished := not exists (select from outbox.log_stream s where s.stream = held.id and s.version <= coalesce(through, held.version));
end
$$;

-- Moves what is in the archive back, newest first, so that what is not in the archive is always the end of the stream.
create function outbox.restore_stream(stream text, reason text, max integer default 10000, out events bigint, out finished boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    held record;
    first_version bigint;
    last_version bigint;
    moved bigint;
begin
    held := outbox.hold_to_keep(stream, reason, max);
    select min(l.version), max(l.version), count(*) into first_version, last_version, events
    from (select a.version from outbox.log_archive a where a.stream = held.id order by a.version desc limit restore_stream.max) l;
    if events > 0 then
        insert into outbox.stream_step (stream, action, through, events, reason) values (held.id, 'restore', last_version, restore_stream.events, restore_stream.reason);
        update outbox.log l set retention = 'stream' where l.retention = 'archive' and l.stream = held.id and l.version >= first_version;
        get diagnostics moved = row_count;
        perform outbox.expect_count(stream, restore_stream.events, moved);
    end if;
    finished := not exists (select from outbox.log_archive a where a.stream = held.id);
end
$$;

-- Deletes events before a version for good, those in the archive too, oldest first. The versions of the others stay what they are.
create function outbox.truncate_stream(stream text, before_version bigint, reason text, max integer default 10000, out events bigint, out finished boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    held record;
begin
    held := outbox.hold_to_keep(stream, reason, max);
    if before_version is null or before_version not between 1 and held.version + 1 then
        raise exception 'stream % is at version %: before_version must be 1 to %, got %', stream, held.version, held.version + 1, coalesce(before_version::text, 'null')
            using errcode = 'invalid_parameter_value';
    end if;
    select d.events, d.finished into truncate_stream.events, truncate_stream.finished
    from outbox.drop_events(stream, held.id, before_version - 1, 'truncate', reason, max) d;
end
$$;

-- Deletes all events of a stream, and has it take no more from then on: buried with the chunk that is the last.
create function outbox.tombstone_stream(stream text, reason text, max integer default 10000, out events bigint, out finished boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    held record;
begin
    held := outbox.hold_to_keep(stream, reason, max);
    select d.events, d.finished into tombstone_stream.events, tombstone_stream.finished
    from outbox.drop_events(stream, held.id, held.version, 'tombstone', reason, max) d;
end
$$;

-- One chunk of a deletion. What is left of a stream to bury goes as truncated until it fits into one.
create function outbox.drop_events(stream_name text, stream bigint, through bigint, action text, reason text, max integer, out events bigint, out finished boolean)
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
    if events = 0 and action = 'truncate' then
        return;
    end if;
    perform outbox.refuse_unpublished(stream_name, stream, first_version, last_version);
    insert into outbox.stream_step (stream, action, through, events, reason)
    values (drop_events.stream, case when finished then drop_events.action else 'truncate' end, coalesce(last_version, through), drop_events.events, drop_events.reason);
    delete from outbox.log l where l.retention in ('stream', 'archive') and l.stream = drop_events.stream and l.version <= last_version;
    get diagnostics gone = row_count;
    perform outbox.expect_count(stream_name, drop_events.events, gone);
    -- They were made of what is gone.
    delete from outbox.stream_snapshot s where s.stream = drop_events.stream;
end
$$;

create function outbox.expect_count(stream text, wanted bigint, got bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if wanted <> got then
        raise exception 'stream %: % events were to leave, and % did: nothing was done', stream, wanted, got using errcode = 'data_exception';
    end if;
end
$$;

-- Where a stream stands: no row: it is not there. `gone`: it was given a tombstone.
create function outbox.stream_standing(stream text, out version bigint, out first_version bigint, out archived_through bigint, out gone boolean)
returns setof record
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select outbox.version_of(s.id),
           (select e.version from outbox.stored_event e where e.stream_id = s.id order by e.version limit 1),
           (select a.version from outbox.log_archive a where a.stream = s.id order by a.version desc limit 1),
           exists (select from outbox.stream_step t where t.stream = s.id and t.action = 'tombstone')
    from outbox.stream s where s.name = stream_standing.stream
$$;

do $$
declare
    function regprocedure;
begin
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('is_named_by_step', 'refuse_unpublished', 'hold_to_keep', 'archive_stream', 'restore_stream', 'truncate_stream',
                                    'tombstone_stream', 'drop_events', 'expect_count', 'stream_standing') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
grant execute on function outbox.stream_standing to outbox_reader;
