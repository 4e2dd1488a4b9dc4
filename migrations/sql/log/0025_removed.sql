-- Events that went to a topic and were removed from their stream since, on purpose: a repair of that topic counts them as that, and
-- not as lost, and puts out what is left.

-- Positions that were removed, in ranges: of one transaction, one topic and one key, without a gap. What a repair asks of a row of the log
-- that is there, it asks of these: whose transaction it was, where it stood, and to which partition it went.
create table outbox.removed (
    topic text not null,
    first_position bigint not null,
    last_position bigint not null check (last_position >= first_position),
    transaction_id xid8 not null,
    -- What the partition goes by; the key itself may be a name.
    key_number bigint not null,
    -- The era in which they were removed: what an era began with has nothing of what was removed before.
    era integer not null,
    removed_by xid8 not null default pg_current_xact_id(),
    primary key (topic, first_position)
);
comment on table outbox.removed is 'Positions of events of a topic that were removed by outbox.truncate_stream and outbox.tombstone_stream, as ranges: what is missing there was not lost. Append-only.';
create trigger append_only before update or delete on outbox.removed for each row execute function outbox.refuse_change();
create trigger append_only_as_a_whole before truncate on outbox.removed for each statement execute function outbox.refuse_change();

-- How many events behind the entry that was kept had been removed when a re-issue was cut: its share has so many less.
alter table outbox.reissue add column removed bigint not null default 0 check (removed >= 0);
-- Of those that were cut before nothing had been removed that is known. Who cuts one says it: see below.
alter table outbox.reissue alter column removed drop default;
alter table outbox.reissue_order add column removed bigint;

-- The number that a key's partition is the remainder of.
create function outbox.key_number(key text) returns bigint
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select ('x' || encode(substring(sha256(convert_to(key, 'UTF8')), 1, 4), 'hex'))::bit(32)::bigint
$$;

-- Held by who removes events of a topic, shared, and for a moment by who cuts a re-issue of it, alone: what was measured is what is cut.
create function outbox.removal_lock(topic text) returns bigint
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select hashtextextended('outbox.removed ' || topic, 0)
$$;

-- Whether what was measured of a topic in this snapshot is still so: nobody is removing events of it, and nobody did since. Volatile,
-- so that it sees who committed before the lock was had. Until this transaction ends nobody begins to.
create function outbox.is_still_measured(topic text, measured pg_snapshot) returns boolean
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    if not pg_try_advisory_xact_lock(outbox.removal_lock(topic)) then
        return false;
    end if;
    return not exists (select from outbox.removed r where r.topic = is_still_measured.topic and not pg_visible_in_snapshot(r.removed_by, measured));
end
$$;

-- A relay of before this step says nothing of removals, and neither looks whether somebody is removing: it takes what is missing for a gap, and
-- what it counts does not fit later. Where nothing of the topic was removed, it is right all the same.
create function outbox.refuse_uncounted() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if new.removed is not null then
        return new;
    end if;
    if not pg_try_advisory_xact_lock(outbox.removal_lock(new.topic)) or exists (select from outbox.removed r where r.topic = new.topic) then
        raise exception 'refused: events of topic % were removed from the event store, and this relay is of a version that does not count them', new.topic
            using errcode = 'object_not_in_prerequisite_state', hint = 'Stop it: a relay of the version of these migrations puts the topic out again.';
    end if;
    new.removed := 0;
    return new;
end
$$;
create trigger refuse_uncounted before insert on outbox.reissue for each row execute function outbox.refuse_uncounted();

-- As before; and of what goes to a topic it is kept that it was removed. No recovery begins meanwhile, and no re-issue of these topics is cut.
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
    if events = 0 and action = 'truncate' then
        return;
    end if;
    perform outbox.hold_topics(stream, first_version, last_version);
    perform outbox.refuse_unpublished(stream_name, stream, first_version, last_version);
    insert into outbox.stream_step (stream, action, through, events, reason)
    values (drop_events.stream, case when finished then drop_events.action else 'truncate' end, coalesce(last_version, through), drop_events.events, drop_events.reason);
    perform outbox.note_removed(stream, first_version, last_version);
    delete from outbox.log l where l.retention in ('stream', 'archive') and l.stream = drop_events.stream and l.version <= last_version;
    get diagnostics gone = row_count;
    perform outbox.expect_count(stream_name, drop_events.events, gone);
    -- They were made of what is gone.
    delete from outbox.stream_snapshot s where s.stream = drop_events.stream;
end
$$;

-- What a removal of these versions holds until its transaction ends. Before anything is looked at: what is seen afterwards stays so.
create function outbox.hold_topics(stream bigint, first bigint, last bigint) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    topics text[];
begin
    select array_agg(distinct l.topic order by l.topic) into topics
    from outbox.log l
    where l.retention in ('stream', 'archive') and l.stream = hold_topics.stream and l.version between first and last and l.topic is not null;
    if topics is null then
        return;
    end if;
    -- An era counts what is there when it is opened: a recovery begins behind this transaction, or is seen by what follows.
    lock table outbox.recovery in share mode;
    perform pg_advisory_xact_lock_shared(outbox.removal_lock(t)) from unnest(topics) t order by t;
end
$$;

create function outbox.note_removed(stream bigint, first bigint, last bigint) returns void
language sql volatile set search_path = pg_catalog, pg_temp as $$
    insert into outbox.removed (topic, first_position, last_position, transaction_id, key_number, era)
    select going.topic, min(going.position), max(going.position), going.transaction_id, going.key_number, (select max(e.era) from outbox.era e)
    from (
        select named.*, named.position - row_number() over (partition by named.topic, named.transaction_id, named.key_number order by named.position) as island
        from (
            select l.topic, l.position, l.transaction_id, outbox.key_number(coalesce(l.key, l.id::text)) as key_number
            from outbox.log l
            where l.retention in ('stream', 'archive') and l.stream = note_removed.stream and l.version between first and last and l.topic is not null
        ) named
    ) going
    group by going.topic, going.transaction_id, going.key_number, going.island
$$;

-- What was put out again, and how many of it had been removed.
create or replace view outbox_ops.reissue_orders as
    select o.number, o.topic, greatest(o.partition - 1, 0) as partition, o.from_batch_id || '-' || o.from_position as from_entry,
           o.to_batch_id || '-' || o.to_position as to_entry, o.is_preview, o.state, o.answer, o.kept, o.wanted, o.events,
           o.actor, o.reason, o.ordered_at, o.answered_at,
           case o.partition when 0 then o.topic else o.topic || ':' || o.partition - 1 end as stream,
           o.removed
    from outbox.reissue_order o;
comment on column outbox_ops.reissue_orders.removed is 'Events behind the entry that is kept that had been removed from the event store: they are not put out again.';

create or replace view outbox_ops.reissues as
    select sent.topic, sent.partition, sent.stream, sent.kept, sent.missing, sent.asked_by, sent.cut_at, sent.events, sent.published,
           case when sent.replaced then 'replaced' when sent.published >= sent.events then 'done' else 'running' end as state,
           case when sent.published > 0 and sent.published < sent.events and not sent.replaced
                then (clock_timestamp() - sent.cut_at) * ((sent.events - sent.published)::double precision / sent.published) end as remaining,
           sent.removed
    from (
        select reissue.topic, greatest(reissue.partition - 1, 0) as partition,
               case reissue.partition when 0 then reissue.topic else reissue.topic || ':' || reissue.partition - 1 end as stream,
               reissue.kept_batch_id || '-' || reissue.kept_position as kept, reissue.missing, reissue.asked_by, reissue.cut_at,
               share.event_count as events, reissue.removed,
               exists (select from outbox.reissue later where later.topic = reissue.topic and later.partition = reissue.partition
                       and later.batch_number > reissue.batch_number) and not coalesce(here.is_over, false) as replaced,
               case when here.is_over then share.event_count
                    when here.position is not null then least(share.event_count - 1, greatest(0, floor(
                        share.event_count * (here.position - share.first_position + 1)::numeric / (share.last_position - share.first_position + 1))))::bigint
                    else 0 end as published
        from outbox.reissue reissue
        join outbox.share share on share.topic = reissue.topic and share.partition = reissue.partition and share.batch_number = reissue.batch_number
        left join lateral (select p.position, p.position >= share.last_position as is_over from outbox.progress p
                           where p.topic = reissue.topic and p.partition = reissue.partition and p.batch_number = reissue.batch_number
                           order by p.position desc limit 1) own on true
        left join lateral (select p.batch_number from outbox.progress p where p.topic = reissue.topic and p.partition = reissue.partition
                           order by p.batch_number desc, p.position desc limit 1) newest on true
        left join lateral (select own.position,
                                  coalesce(own.is_over, false)
                                  or newest.batch_number > reissue.batch_number
                                     and not exists (select from outbox.reissue later
                                                     where later.topic = reissue.topic and later.partition = reissue.partition
                                                       and later.batch_number > reissue.batch_number) as is_over) here on true
    ) sent;
comment on column outbox_ops.reissues.removed is 'Events behind the entry that is kept that had been removed from the event store: they are not in it.';

-- A range of which nothing is left to put out again, because it was removed on purpose.
alter table outbox.loss drop constraint loss_why_check;
alter table outbox.loss add constraint loss_why_check check (why in ('log', 'generation', 'accepted', 'removed'));
comment on column outbox_ops.losses.why is '`log`: Postgres no longer has all of it; `generation`: it is from before the topic got its partitions, and would come behind the end of those; `accepted`: a recovery with `trust-stream` had left it on the stream, Postgres never had it again, and what it was is in outbox.unknown_entry; `removed`: all of it had been truncated or buried in the event store.';

do $$
declare
    function regprocedure;
begin
    alter table outbox.removed owner to outbox_maintainer;
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('key_number', 'removal_lock', 'is_still_measured', 'refuse_uncounted', 'drop_events', 'hold_topics', 'note_removed') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
grant select on outbox.removed to outbox_relay;
grant execute on function outbox.is_still_measured, outbox.removal_lock to outbox_relay;
