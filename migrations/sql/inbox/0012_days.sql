-- As step 0011, whatever the isolation: where the snapshot of the one that waited is from before, it does not see what is committed, and is refused the name.
create or replace function outbox.add_inbox_day(moment timestamptz) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '5s'
    as $$
declare
    day date := (moment at time zone 'UTC')::date;
    name text := 'inbox_' || to_char(day, 'YYYYMMDD');
begin
    if day not between date '2000-01-01' and date '2999-12-31' then
        raise exception 'no day is made for %: it lies outside the years 2000 to 2999', moment using errcode = 'invalid_parameter_value';
    end if;
    if exists (select from pg_inherits where inhparent = 'outbox.inbox'::regclass and inhrelid = to_regclass('outbox.' || name)) then
        return;
    end if;
    perform pg_advisory_xact_lock(122550254464890);
    if exists (select from pg_inherits part join pg_class made on made.oid = part.inhrelid
               where part.inhparent = 'outbox.inbox'::regclass and made.relname = name and made.relnamespace = 'outbox'::regnamespace) then
        return;
    end if;
    begin
        execute format('create table outbox.%I (like outbox.inbox including all)', name);
        execute format('alter table outbox.inbox attach partition outbox.%I for values from (%L) to (%L)',
            name, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
    exception when duplicate_table then
        -- Where the snapshot is from before it waited (REPEATABLE READ), what is committed is not seen. Who is refused knows the name.
        if pg_partition_root(to_regclass('outbox.' || name)) is distinct from 'outbox.inbox'::regclass then
            -- Members tell the text alone, so what to do is in it.
            raise exception 'table outbox.% is there, and is no day of the inbox, so events of % have no place: it was detached, or made by hand; attach it again, or give it another name', name, day
                using errcode = 'duplicate_table';
        end if;
    end;
end
$$;

-- A day that is dropped while it is looked at is over, and not an error of who looks.
create or replace function outbox.inbox_day_is_over(day date, name text) returns boolean
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
    as $$
declare
    is_recent boolean;
begin
    if not outbox.inbox_day_is_closed(day) then
        return false;
    end if;
    begin
        execute format('select exists (select from outbox.%I where applied_at > $1)', name) into is_recent using clock_timestamp() - outbox.inbox_kept();
    exception when undefined_table then
        return false;
    end;
    return not is_recent;
end
$$;

create or replace function outbox.inbox_days()
    returns table (day date, name text, estimated_rows bigint, bytes bigint, kept_until timestamptz, droppable boolean)
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
    as $$
declare
    kept interval := outbox.inbox_kept();
begin
    for day, name, estimated_rows, bytes in
        select to_date(substring(c.relname from 7), 'YYYYMMDD'), c.relname::text, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid)
        from pg_inherits join pg_class c on c.oid = inhrelid
        where inhparent = 'outbox.inbox'::regclass order by c.relname
    loop
        kept_until := (day + 1)::timestamp at time zone 'UTC' + kept;
        droppable := outbox.inbox_day_is_over(day, name);
        continue when to_regclass('outbox.' || name) is null;
        return next;
    end loop;
end
$$;

-- Nor of who forgets what it has of a stream.
create or replace function outbox.forget_events(consumer text, streams text[], epochs bigint[], after_batch numeric, after_position numeric, name text, first_page bigint, pages bigint)
    returns bigint language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    as $$
declare
    forgotten bigint;
begin
    perform outbox.require_seized(consumer, streams, epochs);
    -- The audit row of that step says that the inbox is forgotten: there is none for each stretch.
    if exists (select from unnest(streams) given (stream)
               where not exists (select from outbox.consumer_stream p
                                 where p.consumer = forget_events.consumer and p.stream = given.stream and p.replayed_batch is not null)) then
        raise exception 'consumer % was not set back with its inbox to be forgotten', consumer
            using errcode = 'object_not_in_prerequisite_state', hint = 'outbox.seek_stream comes first.';
    end if;
    if name <> 'inbox_foreign'
       and not exists (select from pg_inherits where inhparent = 'outbox.inbox'::regclass and inhrelid = to_regclass(format('outbox.%I', name))) then
        return 0;
    end if;
    begin
        execute format(
            'with gone as (
                 delete from outbox.%I i where i.ctid >= $1 and i.ctid < $2 and i.consumer = $3 and i.stream = any($4) and i.outcome <> ''parked''
                     and outbox.entry_is_after(i.entry_id, $5, $6)
                     and not (i.outcome = ''dead'' and exists (
                         select from outbox.dead_letter d
                         where d.consumer = i.consumer and d.stream = i.stream and d.entry_id = i.entry_id and d.state in (''dead'', ''redriving'')))
                 returning i.source, i.id
             ), unkeyed as (
                 delete from outbox.inbox_keyed k using gone where k.consumer = $3 and k.source = gone.source and k.id = gone.id
             )
             select count(*) from gone', name)
        into forgotten
        using format('(%s,0)', first_page)::tid, format('(%s,0)', first_page + pages)::tid, consumer, streams, after_batch, after_position;
    exception when undefined_table then
        -- The day was dropped meanwhile, and what it had with it.
        if to_regclass(format('outbox.%I', name)) is not null then
            raise;
        end if;
        return 0;
    end;
    return forgotten;
end
$$;
