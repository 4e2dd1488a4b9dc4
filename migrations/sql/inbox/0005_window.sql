-- How long the ids of finished events are remembered: as long as an event can come again, and not by guess. An event that is
-- older than what is remembered is recognised as such. Input that carries no id of its own is remembered by what it says.

-- How old a dead letter may be when it is put back, and how old an event that the relay publishes again: with how long
-- streams keep their entries they make the floor of `keep`.
alter table outbox.inbox_settings
    add column redrive_age interval not null default interval '14 days' check (redrive_age >= interval '0'),
    add column republish_window interval not null default interval '7 days' check (republish_window >= interval '0'),
    -- Given when a person set `keep` below the floor in spite of what it means; then `keep` alone counts.
    add column forced_reason text check (forced_reason <> ''),
    add column forced_by text,
    add column forced_at timestamptz,
    add constraint inbox_settings_forced_check
        check ((forced_reason is null) = (forced_by is null) and (forced_reason is null) = (forced_at is null));
comment on table outbox.inbox_settings is 'One row. keep: how long the ids of finished events are remembered, counted from when they were recorded and from when they were applied, whichever is later; null keeps them for ever. They are kept at least as long as an event can come again (outbox_ops.inbox_window), unless forced: see outbox.set_inbox_keep.';

-- Days are made for times at which events are recorded now or were within the last year. Whoever says another one does not get
-- a day for it: such an event is remembered among the foreign ones, from when it was applied.
alter table outbox.inbox_foreign add column recorded_at timestamptz;
comment on table outbox.inbox_foreign is 'Finished events that have no day of their own: they do not say when they were recorded, or it was more than a year ago, or is still to come. recorded_at: when, where that is past.';

-- Whether there is a day for `moment`; it is made if it should be there. As outbox.add_inbox_day, outside of applying transactions.
create function outbox.ensure_inbox_day(moment timestamptz) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    day date := (moment at time zone 'UTC')::date;
    today date := (clock_timestamp() at time zone 'UTC')::date;
begin
    if exists (select from pg_inherits
               where inhparent = 'outbox.inbox'::regclass and inhrelid = to_regclass('outbox.inbox_' || to_char(day, 'YYYYMMDD'))) then
        return true;
    elsif day < today - 366 or day > today + 2 then
        return false;
    end if;
    perform outbox.add_inbox_day(moment);
    return true;
end
$$;

-- What the relay says beside a stream about it, as a member of the group saw it last.
create table outbox.stream_mark (
    consumer text not null,
    stream text not null,
    -- How long entries stay on the stream, in seconds; 0 for ever; null when the relay does not say.
    retention_seconds bigint check (retention_seconds >= 0),
    -- The batch that was published last.
    published_batch numeric(20) not null check (published_batch >= 0),
    seen_at timestamptz not null default clock_timestamp(),
    primary key (consumer, stream)
) with (fillfactor = 50);
comment on table outbox.stream_mark is 'How long each stream keeps its entries, and how far it was published, by when a consumer last looked.';

-- The least that ids must be kept for, of one consumer or of all; null for ever. With the reason in words.
create function outbox.inbox_floor(of_consumer text default null, out floor interval, out reason text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with source as (
        select null::interval as span, format('stream %s is never trimmed: any of its events can come again', m.stream) as why, 1 as rank
        from outbox.stream_mark m
        where m.retention_seconds = 0 and (of_consumer is null or m.consumer = of_consumer)
        union all
        select justify_hours(make_interval(secs => m.retention_seconds)),
               format('stream %s keeps its entries for %s', m.stream, justify_hours(make_interval(secs => m.retention_seconds))), 2
        from outbox.stream_mark m
        where m.retention_seconds > 0 and (of_consumer is null or m.consumer = of_consumer)
        union all
        select s.redrive_age, format('dead letters may be put back for %s (redrive_age)', s.redrive_age), 3 from outbox.inbox_settings s
        union all
        select s.republish_window, format('the relay may publish again what is up to %s old (republish_window)', s.republish_window), 4
        from outbox.inbox_settings s
    )
    select source.span, source.why from source order by source.span desc nulls first, source.rank, source.why limit 1
$$;

-- How long ids are really kept; null for ever.
create function outbox.inbox_kept() returns interval
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select case when s.forced_reason is not null then s.keep
                -- greatest() passes over null, which is for ever here.
                when s.keep is null or f.floor is null then null
                else greatest(s.keep, f.floor)
           end
    from outbox.inbox_settings s, outbox.inbox_floor() f
$$;

create function outbox.refuse_low_keep() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    lowest record;
begin
    if new.keep is not distinct from old.keep then
        return new;
    end if;
    select * into lowest from outbox.inbox_floor();
    if new.keep is null or new.keep >= lowest.floor then
        new.forced_reason := null;
        new.forced_by := null;
        new.forced_at := null;
    elsif new.forced_at is not distinct from old.forced_at then
        raise exception 'ids cannot be kept for % only: %, so the least is %', new.keep, lowest.reason, coalesce(lowest.floor::text, 'for ever')
            using errcode = 'invalid_parameter_value',
                  hint = 'An event that comes again after its id was forgotten becomes a dead letter of kind too_old. Lower what makes the floor, or call outbox.set_inbox_keep with force => true.';
    end if;
    return new;
end
$$;
create trigger keep_above_floor before update on outbox.inbox_settings for each row execute function outbox.refuse_low_keep();

-- Sets how long ids are kept (null: for ever). Below the floor it is refused, saying why, unless forced. Audited.
create function outbox.set_inbox_keep(keep interval, reason text, force boolean default false) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    lowest record;
    is_low boolean;
begin
    if coalesce(reason, '') = '' then
        raise exception 'a reason must be given: it is kept in outbox.consumer_audit' using errcode = 'invalid_parameter_value';
    end if;
    select * into lowest from outbox.inbox_floor();
    is_low := keep is not null and (lowest.floor is null or keep < lowest.floor);
    update outbox.inbox_settings s
    set keep = set_inbox_keep.keep,
        forced_reason = case when is_low and force then set_inbox_keep.reason end,
        forced_by = case when is_low and force then session_user end,
        forced_at = case when is_low and force then clock_timestamp() end;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('set inbox keep', '*', jsonb_build_object('keep', keep, 'floor', lowest.floor, 'below the floor', is_low), reason);
end
$$;

-- Until when everything that was recorded is known to be passed, of one consumer or of all; null when nothing is known.
-- A stream whose last batch is passed is so up to when that was seen; one that is behind, up to the batch it came to.
create function outbox.inbox_passed_until(of_consumer text default null) returns timestamptz
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select min(case when p.passed_batch >= m.published_batch then m.seen_at
                    else to_timestamp((coalesce(p.passed_batch, 0) / 1000)::double precision) end)
    from outbox.stream_mark m
    left join outbox.consumer_stream p on p.consumer = m.consumer and p.stream = m.stream
    where of_consumer is null or m.consumer = of_consumer
$$;

-- What of a consumer, or of all, may still come that was recorded longest ago, and why, in words. What is open or waits keeps the
-- day it was recorded on; what is still to be read, that one and all later ones.
-- Where `keep` is forced, what is still to be read does not count.
create function outbox.inbox_needed(of_consumer text default null, out consumer text, out since timestamptz, out why text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select need.consumer, need.since, need.why
    from (
        select m.consumer,
               case when p.passed_batch >= m.published_batch then m.seen_at
                    else to_timestamp((coalesce(p.passed_batch, 0) / 1000)::double precision) end as since,
               case when p.passed_batch >= m.published_batch then format('no member looked at stream %s since', m.stream)
                    else format('stream %s is not passed', m.stream) end as why
        from outbox.stream_mark m
        left join outbox.consumer_stream p on p.consumer = m.consumer and p.stream = m.stream
        where (of_consumer is null or m.consumer = of_consumer) and (select s.forced_reason is null from outbox.inbox_settings s)
        union all
        (select d.consumer, d.recorded_at, format('dead letter %s is open', d.number) from outbox.dead_letter d
         where d.state in ('dead', 'redriving') and d.recorded_at is not null and (of_consumer is null or d.consumer = of_consumer)
         order by d.recorded_at limit 1)
        union all
        (select e.consumer, e.recorded_at, 'events wait in a parked key' from outbox.parked_event e
         where e.recorded_at is not null and (of_consumer is null or e.consumer = of_consumer)
         order by e.recorded_at limit 1)
    ) need
    order by need.since, need.consumer limit 1
$$;

-- What holds a day is looked for by when it was recorded.
drop index outbox.dead_letter_by_recorded_at;
create index dead_letter_open_by_recorded_at on outbox.dead_letter (recorded_at) where state in ('dead', 'redriving');
create index parked_event_by_recorded_at on outbox.parked_event (recorded_at);

-- Whether nothing of a day is open: recorded longer ago than ids are kept, no open dead letter, nothing that waits, and no group
-- that still has to read it (unless `keep` is forced). Cheap.
create function outbox.inbox_day_is_closed(day date) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    begins timestamptz := day::timestamp at time zone 'UTC';
    ends timestamptz := (day + 1)::timestamp at time zone 'UTC';
    kept interval := outbox.inbox_kept();
begin
    if kept is null or ends + kept >= clock_timestamp() then
        return false;
    end if;
    if exists (select from outbox.dead_letter d where d.recorded_at >= begins and d.recorded_at < ends and d.state in ('dead', 'redriving'))
       or exists (select from outbox.parked_event e where e.recorded_at >= begins and e.recorded_at < ends) then
        return false;
    end if;
    return (outbox.inbox_passed_until() >= ends) is not false or (select s.forced_reason is not null from outbox.inbox_settings s);
end
$$;

-- Whether nothing of a day can come again: closed, and applied longer ago than ids are kept. Reads the whole day.
create function outbox.inbox_day_is_over(day date, name text) returns boolean
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    is_recent boolean;
begin
    if not outbox.inbox_day_is_closed(day) then
        return false;
    end if;
    execute format('select exists (select from outbox.%I where applied_at > $1)', name) into is_recent using clock_timestamp() - outbox.inbox_kept();
    return not is_recent;
end
$$;

create or replace function outbox.inbox_days()
returns table (day date, name text, estimated_rows bigint, bytes bigint, kept_until timestamptz, droppable boolean)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
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
        return next;
    end loop;
end
$$;

-- Forgets foreign ids: so many, the oldest first. Returns how many. Where one says when it was recorded, it is first said up to
-- when ids are forgotten, and the id goes by a later call: whoever does not find the id then finds that it may have been there.
create function outbox.forget_foreign(most integer default 10000) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
    victims outbox.inbox_foreign[];
    forgotten integer;
begin
    select array_agg(old.g) into victims from (
        select g from outbox.inbox_foreign g
        where g.applied_at < clock_timestamp() - outbox.inbox_kept()
          -- What waits may still have its effect.
          and g.outcome <> 'parked'
          and (g.outcome <> 'dead' or not exists (
              select from outbox.dead_letter d
              where d.consumer = g.consumer and d.source = g.source and d.id = g.id and d.state in ('dead', 'redriving')))
        order by g.applied_at limit most) old;
    delete from outbox.inbox_foreign f
    using unnest(victims) victim
    where (f.consumer, f.source, f.id) = (victim.consumer, victim.source, victim.id) and f.applied_at = victim.applied_at
      and (victim.recorded_at is null
           or victim.recorded_at < (select c.forgotten_until from outbox.consumer c where c.name = victim.consumer));
    get diagnostics forgotten = row_count;
    insert into outbox.consumer as known (name, forgotten_until)
    select victim.consumer, max(victim.recorded_at) + interval '1 microsecond'
    from unnest(victims) victim where victim.recorded_at is not null group by victim.consumer
    on conflict (name) do update set forgotten_until = excluded.forgotten_until
    where known.forgotten_until is null or known.forgotten_until < excluded.forgotten_until;
    return forgotten;
exception
    when lock_not_available then
        return 0;
end
$$;

-- Drops the oldest day that is droppable, and forgets as many thousands of foreign ids as given. Waits for no one: beside a
-- busy consumer it gives up within the lock timeout and is called again later. Returns the number of days dropped, 0 or 1.
-- The day is read before anybody is in its way, and once more while nobody writes to that one day; the lock on all of the inbox
-- is there for the dropping alone.
-- Whose ids were in a day cannot tell any more what of it had its effect: that is kept in outbox.consumer.
create or replace function outbox.forget_inbox(most integer default 10) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
    victim record;
begin
    -- One at a time: two would wait for what the other one has read, with the inbox in hand.
    if not pg_try_advisory_xact_lock(122550254464891) then
        return 0;
    end if;
    perform outbox.forget_foreign(most * 1000);
    insert into outbox.consumer (name) select distinct l.consumer from outbox.consumer_lease l on conflict do nothing;
    begin
        for victim in
            select to_date(substring(c.relname from 7), 'YYYYMMDD') as day, c.relname::text as name
            from pg_inherits join pg_class c on c.oid = inhrelid
            where inhparent = 'outbox.inbox'::regclass order by c.relname
        loop
            continue when not outbox.inbox_day_is_over(victim.day, victim.name);
            execute format('lock table outbox.%I in share mode', victim.name);
            continue when not outbox.inbox_day_is_over(victim.day, victim.name);
            execute format(
                'update outbox.consumer c set forgotten_until = greatest(c.forgotten_until, $1)
                 where exists (select from outbox.%I i where i.consumer = c.name)', victim.name)
            using (victim.day + 1)::timestamp at time zone 'UTC';
            -- Nothing is applied or parked from here on: what was opened since the last look is seen now.
            lock table only outbox.inbox in access exclusive mode;
            if not outbox.inbox_day_is_closed(victim.day) then
                raise lock_not_available;
            end if;
            execute format('drop table outbox.%I', victim.name);
            return 1;
        end loop;
    exception
        when lock_not_available then null;
    end;
    return 0;
end
$$;

-- Input that carries no id of its own, by what it says: the first with an identity stands for those that follow within the
-- window. The identity is a SHA-256: nothing of the input can be read from it. The times are those of the event: when it was
-- recorded, or, where it does not say so, when it came.
create table outbox.inbox_keyed (
    consumer text not null,
    topic text not null,
    identity bytea not null check (octet_length(identity) = 32),
    source text not null,
    id text not null,
    entered_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null check (expires_at > entered_at),
    -- When the group came to the event, which may be long after.
    came_at timestamptz not null default clock_timestamp(),
    primary key (consumer, topic, identity)
);
comment on table outbox.inbox_keyed is 'Which event stands for an identity (a correlation id, a content) of a topic, until when.';
create index inbox_keyed_by_end on outbox.inbox_keyed (consumer, expires_at);

-- Removes up to so many identities whose window is over for their group: it passed, as far as is known, everything that was recorded
-- until then, and had as long a time to come to it. Returns how many.
create function outbox.forget_keyed(most integer default 10000) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
declare
    removed integer;
begin
    delete from outbox.inbox_keyed k
    where (k.consumer, k.topic, k.identity) in (
        select o.consumer, o.topic, o.identity
        from (select c.name, least(clock_timestamp(), outbox.inbox_passed_until(c.name)) as passed_until from outbox.consumer c offset 0) of_group
        join outbox.inbox_keyed o on o.consumer = of_group.name and o.expires_at < of_group.passed_until
        where o.came_at + (o.expires_at - o.entered_at) < clock_timestamp()
        limit most
        for update of o skip locked);
    get diagnostics removed = row_count;
    return removed;
end
$$;

create view outbox_ops.inbox_window as
    select consumer.name as consumer,
           settings.keep,
           floor.floor,
           floor.reason,
           kept.kept,
           case when settings.forced_reason is not null then 'forced'
                when kept.kept is not distinct from settings.keep then 'ok'
                else 'raised' end as state,
           settings.forced_by,
           settings.forced_at,
           consumer.forgotten_until,
           outbox.inbox_passed_until(consumer.name) as passed_until,
           needed.since as needed_since,
           needed.why as needed_for,
           coalesce(needed.since < clock_timestamp() - kept.kept, false) as holds
    from outbox.consumer consumer
    cross join outbox.inbox_settings settings
    cross join outbox.inbox_kept() as kept (kept)
    cross join lateral outbox.inbox_floor(consumer.name) floor
    cross join lateral outbox.inbox_needed(consumer.name) needed;
comment on view outbox_ops.inbox_window is 'One row per consumer: how long the ids of its finished events are remembered, and why so long.';
comment on column outbox_ops.inbox_window.consumer is 'Consumer group.';
comment on column outbox_ops.inbox_window.keep is 'What is set; null for ever. One setting for all consumers of the database.';
comment on column outbox_ops.inbox_window.floor is 'The least that is safe for this consumer; null for ever.';
comment on column outbox_ops.inbox_window.reason is 'What makes the floor, in words.';
comment on column outbox_ops.inbox_window.kept is 'How long ids are really kept, all consumers of the database considered; null for ever.';
comment on column outbox_ops.inbox_window.state is 'ok: as set. raised: kept longer than set, because the floor of a consumer is higher. forced: a person set it below the floor.';
comment on column outbox_ops.inbox_window.forced_by is 'Who forced it.';
comment on column outbox_ops.inbox_window.forced_at is 'When it was forced.';
comment on column outbox_ops.inbox_window.forgotten_until is 'Ids recorded before this were dropped: an older event that comes again becomes a dead letter of kind too_old.';
comment on column outbox_ops.inbox_window.passed_until is 'Everything recorded before this is known to be passed; later days are kept, however old. Null when no relay says how far it published.';
comment on column outbox_ops.inbox_window.needed_since is 'The oldest that may still come to it was recorded then: the ids of that day stay, for all consumers of the database, and where it is still to be read those of all later days. Null when nothing is known.';
comment on column outbox_ops.inbox_window.needed_for is 'What that is, in words.';
comment on column outbox_ops.inbox_window.holds is 'Whether days that are older than `kept` stay for it. If it is gone for good: outbox.forget_consumer.';

do $$
declare
    object text;
begin
    foreach object in array array['stream_mark', 'inbox_keyed'] loop
        execute format('alter table outbox.%I owner to outbox_maintainer', object);
    end loop;
    foreach object in array array['inbox_floor', 'inbox_kept', 'refuse_low_keep', 'set_inbox_keep', 'inbox_passed_until', 'inbox_needed', 'ensure_inbox_day',
                                  'inbox_day_is_closed', 'inbox_day_is_over', 'forget_foreign', 'forget_keyed'] loop
        execute format('alter function outbox.%I owner to outbox_maintainer', object);
        execute format('revoke execute on function outbox.%I from public', object);
    end loop;
end
$$;
alter view outbox_ops.inbox_window owner to outbox_maintainer;
grant select, insert, update on outbox.stream_mark, outbox.inbox_keyed to outbox_consumer;
grant execute on function outbox.ensure_inbox_day, outbox.forget_foreign, outbox.forget_keyed to outbox_consumer;
grant execute on function outbox.inbox_floor, outbox.inbox_kept, outbox.inbox_passed_until, outbox.inbox_needed to outbox_consumer, outbox_observer, outbox_operator;
grant execute on function outbox.set_inbox_keep to outbox_operator;
grant select on outbox.inbox_settings, outbox_ops.inbox_days to outbox_operator;
grant execute on function outbox.inbox_days to outbox_operator;
grant select on outbox_ops.inbox_window to outbox_consumer, outbox_observer, outbox_operator;
