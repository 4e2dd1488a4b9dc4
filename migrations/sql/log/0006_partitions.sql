-- Partitions: a topic may have several streams. Which one a row goes to is decided where its batch is cut, by the layout in
-- force there, and is a fact of the ledger from then on. Nothing about it is kept with the row, and appending knows nothing
-- of it.
--
-- In the column `partition` of the ledger, the progress and the actions, 0 is the one stream of a topic without partitions,
-- which has no number, and n + 1 is partition n: a topic that grew from the one to the others has both.

-- How many partitions a topic has from which batch on. Generation 0, which has no row, is one, from the beginning.
create table outbox.topic_layout (
    topic text not null,
    generation integer not null check (generation > 0),
    partitions integer not null check (partitions between 2 and 1024),
    -- The row of the ledger that it begins with; entries of this generation have ids above this batch's.
    batch_number bigint not null check (batch_number > 0),
    batch_id bigint not null check (batch_id >= batch_number),
    -- Whether something had been cut before: the streams so far then got an entry that says where the topic moved on.
    moved boolean not null,
    laid_at timestamptz not null default clock_timestamp(),
    primary key (topic, generation)
);
comment on table outbox.topic_layout is 'From which batch on a topic has how many partitions: one row per change, laid by the leading relay. outbox.topic.partitions is what it should have.';

create function outbox.keep_layout_growing() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    previous outbox.topic_layout;
begin
    select * into previous from outbox.topic_layout l where l.topic = new.topic order by l.generation desc limit 1;
    if new.generation <> coalesce(previous.generation, 0) + 1 or new.partitions <= previous.partitions or new.batch_number <= previous.batch_number then
        raise exception 'layout % of topic % (% partitions from batch %) does not follow layout % (% from batch %)',
            new.generation, new.topic, new.partitions, new.batch_number, previous.generation, previous.partitions, previous.batch_number
            using errcode = 'check_violation';
    end if;
    return new;
end
$$;
create trigger layout_grows before insert on outbox.topic_layout for each row execute function outbox.keep_layout_growing();
create trigger append_only before update or delete on outbox.topic_layout for each row execute function outbox.refuse_change();

-- What a topic should have only grows: the entries of a key would have to move back.
alter table outbox.topic drop constraint topic_partitions_check;
alter table outbox.topic add constraint topic_partitions_check check (partitions between 1 and 1024);
-- Those with partitions, for every cut: empty where there are none.
create index topic_with_partitions on outbox.topic (name) where partitions > 1;

create function outbox.keep_partitions_growing() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if new.partitions not between 1 and 1024 then
        raise exception 'topic %: partitions must be 1 to 1024, got %', new.name, new.partitions
            using errcode = 'check_violation';
    elsif tg_op = 'UPDATE' and new.partitions < old.partitions then
        raise exception 'topic % has % partitions, and the number only grows: % refused', new.name, old.partitions, new.partitions
            using errcode = 'check_violation',
                  hint = 'Members of a consumer share the partitions; fewer members may own more of them each.';
    end if;
    -- A sleeping relay lays it at once.
    notify outbox;
    return new;
end
$$;
create trigger partitions_are_possible before insert on outbox.topic for each row
    when (new.partitions <> 1) execute function outbox.keep_partitions_growing();
create trigger partitions_grow before update of partitions on outbox.topic for each row
    when (new.partitions is distinct from old.partitions) execute function outbox.keep_partitions_growing();

-- Which of so many partitions a key belongs to: the first four bytes of the SHA-256 of its UTF-8 text, as an unsigned number,
-- most significant byte first, modulo the number of partitions. An event without a key: its id as text, lower case.
-- Neither definer nor with a search_path of its own, so that it is inlined; `stable`, because convert_to is.
create function outbox.partition_of(key text, partitions integer) returns integer
language sql stable parallel safe as $$
    select ((('x' operator(pg_catalog.||) pg_catalog.encode(
                pg_catalog.substring(pg_catalog.sha256(pg_catalog.convert_to(key, 'UTF8')), 1, 4), 'hex'))::pg_catalog.bit(32))::bigint
            operator(pg_catalog.%) partitions)::integer
$$;

-- What a cut must know where a topic has partitions: how many each has, and how many layouts there are.
-- Fails if a topic should have more than it has: they are laid first, and nothing is cut before.
-- Stable, so that it sees what the statement sees that calls it: a relay cannot cut by a layout of another moment than its rows.
create function outbox.layouts_in_force() returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    counts jsonb;
    unlaid text;
begin
    select jsonb_object_agg(t.name, laid.partitions), min(t.name) filter (where t.partitions is distinct from laid.partitions)
    into counts, unlaid
    from outbox.topic t
    left join lateral (
        select l.partitions from outbox.topic_layout l where l.topic = t.name order by l.generation desc limit 1
    ) laid on true
    where t.partitions > 1;
    if unlaid is not null then
        raise exception 'topic % should have more partitions than it has: they are laid before the next batch is cut', unlaid
            using errcode = 'OB428';
    end if;
    return jsonb_build_object('partitions', counts, 'layouts', (select count(*) from outbox.topic_layout));
end
$$;

-- The rows of a cut that are of topics with partitions, counted by partition. Stable, as above: the same rows as the cut's.
-- A function, so that a cut where no topic has partitions does not even set it up.
create function outbox.partition_shares(xmax text, open text[], layouts jsonb) returns table (
    topic text, partition integer, event_count bigint, first_position bigint, last_position bigint, first_new_position bigint
)
language plpgsql stable rows 8
set search_path = pg_catalog, pg_temp set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
begin
    return query
        select arrived.topic, 1 + outbox.partition_of(coalesce(arrived.key, arrived.id::text), (layouts -> 'partitions' ->> arrived.topic)::integer),
               count(*), min(arrived.position), max(arrived.position), min(arrived.position) filter (where arrived.is_new)
        from (
            select l.topic, l.key, l.id, l.position, true as is_new from outbox.log l where l.transaction_id >= partition_shares.xmax::xid8
            union all
            select l.topic, l.key, l.id, l.position, false from outbox.log l where l.transaction_id = any(open::xid8[])
        ) arrived
        where layouts -> 'partitions' ? arrived.topic
        group by 1, 2;
end
$$;

-- Every stream that a topic has or had, by what the ledger, the progress and the actions keep it under.
create view outbox.topic_stream as
    select topic.name as topic,
           slot.partition,
           case slot.partition when 0 then topic.name else topic.name || ':' || slot.partition - 1 end as name
    from outbox.topic topic
    cross join lateral (
        select max(l.partitions) as partitions, coalesce(bool_or(not l.moved), false) as from_the_start
        from outbox.topic_layout l where l.topic = topic.name
    ) laid
    cross join lateral generate_series(case when laid.from_the_start then 1 else 0 end, coalesce(laid.partitions, 0)) slot (partition);
comment on view outbox.topic_stream is 'Every stream of every topic, with its name at the sink but for prefix and writer; partition as the ledger keeps it: 0 without a number, n + 1 for partition n.';

-- The ledger tells where a layout begins, with a row of its own: two leaders cannot disagree about it.
alter table outbox.batch drop constraint batch_kind_check;
alter table outbox.batch add constraint batch_kind_check check (kind in ('genesis', 'cut', 'moved', 'reissue'));
alter table outbox.batch add column layouts bigint;
comment on column outbox.batch.layouts is 'How many layouts were laid when it was cut. Null: the relay knew nothing of partitions.';
comment on column outbox.share.partition is '0: the stream without a number; n + 1: partition n.';
comment on column outbox.share.first_position is '0, and so the last: no event, but the entry that says that the topic moved on.';
comment on column outbox.progress.partition is '0: the stream without a number; n + 1: partition n.';
comment on column outbox.stream_action.partition is '0: the stream without a number; n + 1: partition n.';

create or replace function outbox.keep_one_chain() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    previous outbox.batch;
begin
    select * into previous from outbox.batch order by number desc limit 1;
    if new.number <> coalesce(previous.number + 1, 0) or new.batch_id <= coalesce(previous.batch_id, -1) then
        -- The same state as a duplicate number: somebody else holds this place in the chain.
        raise exception 'batch % (id %) does not follow batch % (id %)', new.number, new.batch_id, previous.number, previous.batch_id
            using errcode = 'unique_violation';
    end if;
    if previous.number is not null and pg_snapshot_xmax(new.snapshot) < pg_snapshot_xmax(previous.snapshot) then
        raise exception 'batch % has an older snapshot (%) than batch % (%)', new.number, new.snapshot, previous.number, previous.snapshot
            using errcode = 'check_violation', hint = 'Postgres went back in time: see outbox-relay check.';
    end if;
    -- A relay from before partitions would put events behind the end of their old stream.
    if new.layouts is null and new.kind = 'cut' and exists (select from outbox.topic_layout) then
        raise exception 'a topic has partitions, and this relay knows of none: run the version that belongs to this schema'
            using errcode = 'undefined_column';
    end if;
    return new;
end
$$;

-- The latest action about the stream of a topic that somebody means: of the partition given, or the one that is stopped. Of
-- several, the stream without a number is meant: the others cannot be read before it anyway.
create function outbox.stopped_stream(topic text, partition integer, actions text[], wanted text) returns outbox.stream_action
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    stopped outbox.stream_action[];
begin
    select array_agg(latest order by latest.partition) into stopped
    from (
        select distinct on (a.partition) a.* from outbox.stream_action a
        where a.topic = stopped_stream.topic
          and (stopped_stream.partition is null or a.partition = stopped_stream.partition + 1)
        order by a.partition, a.number desc
    ) latest
    where latest.action = any(actions);
    if stopped is null then
        raise exception '% is %', concat('topic ' || topic, ' partition ' || partition), wanted using errcode = 'no_data_found';
    elsif cardinality(stopped) > 1 and stopped[1].partition > 0 then
        raise exception 'several partitions of topic % wait: say which of them is meant: %', topic,
            (select string_agg((s.partition - 1)::text, ', ' order by s.partition) from unnest(stopped) s)
            using errcode = 'invalid_parameter_value', hint = 'outbox-relay topic list shows why each waits; name one with --partition.';
    end if;
    return stopped[1];
end
$$;

-- A person lets a stream go on after its cause was mended. Returns the position it goes on from.
drop function outbox.resume_topic(text, text);
create function outbox.resume_topic(topic text, reason text, partition integer default null) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    latest outbox.stream_action;
begin
    latest := outbox.stopped_stream(topic, partition, array['set_aside', 'blocked'], 'neither set aside nor blocked');
    -- A resume that a crash undid after the stream went on would set it aside again behind itself.
    perform set_config('synchronous_commit', 'on', true);
    insert into outbox.stream_action (topic, partition, action, batch_number, position, event_id, reason)
    values (topic, latest.partition, 'resume', latest.batch_number, latest.position, latest.event_id, reason);
    notify outbox;
    return latest.position;
end
$$;

-- A person gives up the one event that stops a stream. It stays in outbox.unpublished, and leaves the chain of entries.
drop function outbox.skip_event(text, uuid, text);
create function outbox.skip_event(topic text, event_id uuid, reason text, partition integer default null) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    latest outbox.stream_action;
    passed outbox.progress;
begin
    -- A skip that a crash undid after the next event was published would put that event on the stream twice.
    perform set_config('synchronous_commit', 'on', true);
    latest := outbox.stopped_stream(topic, partition, array['set_aside'], 'not set aside');
    if latest.event_id is distinct from skip_event.event_id then
        raise exception 'topic % waits at event %, not at %', topic, latest.event_id, skip_event.event_id using errcode = 'invalid_parameter_value';
    elsif latest.position = 0 then
        raise exception 'entry % of topic % is no event: it says that the topic has more partitions now, and consumers wait for it', event_id, topic
            using errcode = 'invalid_parameter_value', hint = 'Mend the cause, then: outbox-relay topic resume.';
    end if;
    select * into passed from outbox.progress p
    where p.topic = skip_event.topic and p.partition = latest.partition order by p.batch_number desc, p.position desc limit 1;
    insert into outbox.progress (topic, partition, batch_number, position, chain_batch_id, chain_position, epoch)
    values (topic, latest.partition, latest.batch_number, latest.position,
            coalesce(passed.chain_batch_id, 0), coalesce(passed.chain_position, 0), coalesce(passed.epoch, 0));
    insert into outbox.unpublished (position, topic, id, source, type, key, event, reason)
    select l.position, l.topic, l.id, l.source, l.type, l.key, to_jsonb(l), skip_event.reason from outbox.log l
    where l.topic = skip_event.topic and l.position = latest.position;
    insert into outbox.stream_action (topic, partition, action, batch_number, position, event_id, reason)
    values (topic, latest.partition, 'skip', latest.batch_number, latest.position, latest.event_id, reason);
    notify outbox;
    return latest.position;
end
$$;

create or replace view outbox_ops.topics as
    select topic.name as topic,
           greatest(stream.partition - 1, 0) as partition,
           topic.retention,
           class.keep,
           topic.created_at as seen_since,
           coalesce(stopped.action,
               case when stream.partition = 0 and exists (
                   select from outbox.topic_layout l where l.topic = topic.name and l.batch_number <= passed.batch_number) then 'ended' else 'moving' end) as state,
           stopped.acted_at as stopped_since,
           stopped.reason,
           stopped.event_id,
           passed.batch_number as passed_batch,
           passed.position as passed_position,
           case when passed.chain_batch_id > 0 then passed.chain_batch_id || '-' || passed.chain_position end as last_entry,
           passed.recorded_at as passed_at,
           stream.name as stream
    from outbox.topic topic
    join outbox.retention_class class on class.name = topic.retention
    join outbox.topic_stream stream on stream.topic = topic.name
    left join lateral (select * from outbox.stream_action a where a.topic = topic.name and a.partition = stream.partition
                       order by a.number desc limit 1) latest on true
    left join lateral (select latest.* where latest.action in ('set_aside', 'blocked')) stopped on true
    left join lateral (select * from outbox.progress p where p.topic = topic.name and p.partition = stream.partition
                       order by p.batch_number desc, p.position desc limit 1) passed on true;
comment on column outbox_ops.topics.partition is 'Partition of the topic; 0 also for the stream without a number.';
comment on column outbox_ops.topics.state is '`moving`; `ended`: the topic has partitions since, and nothing more comes on this stream; `blocked`: the sink does not take this stream now (wrong type, no permission), and the relay tries again; `set_aside`: it waits at one event for `outbox-relay topic resume` or `topic skip-event`.';
comment on column outbox_ops.topics.stream is 'The stream''s key at the sink, without prefix and writer: the topic, or the topic and `:` and the partition.';

-- The planner's settings are those of the first version: see there.
create or replace function outbox.backlog() returns table (topic text, partition integer, events bigint, exact boolean, oldest_recorded_at timestamptz)
language sql stable security definer cost 1000 rows 20
set search_path = pg_catalog, pg_temp set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
    -- Rows that no batch holds yet: the two arms of the tail against the newest snapshot of the ledger.
    with head as (
        select snapshot from outbox.batch order by number desc limit 1
    ), fresh as (
        select new.topic, new.key, new.id, new.recorded_at
        from head, lateral (select l.topic, l.key, l.id, l.recorded_at from outbox.log l
                            where l.transaction_id >= pg_snapshot_xmax(head.snapshot) order by l.transaction_id, l.position limit 10000) new
        union all
        select late.topic, late.key, late.id, late.recorded_at
        from head, pg_snapshot_xip(head.snapshot) open_then,
             lateral (select l.topic, l.key, l.id, l.recorded_at from outbox.log l
                      where l.transaction_id = open_then order by l.position limit 10000) late
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

create or replace view outbox_ops.backlog as
    select waiting.topic, greatest(waiting.partition - 1, 0) as partition, waiting.events, waiting.exact, waiting.oldest_recorded_at,
           clock_timestamp() - waiting.oldest_recorded_at as oldest_age,
           case waiting.partition when 0 then waiting.topic else waiting.topic || ':' || waiting.partition - 1 end as stream
    from outbox.backlog() waiting;
comment on column outbox_ops.backlog.partition is 'Partition of the topic; 0 also for the stream without a number.';
comment on column outbox_ops.backlog.stream is 'The stream''s key at the sink, without prefix and writer.';
comment on column outbox_ops.batches.kind is '`cut` from the log; `moved`: a topic has more partitions from here on; or `reissue`.';

alter table outbox.topic_layout owner to outbox_maintainer;
alter view outbox.topic_stream owner to outbox_maintainer;
do $$
declare
    function regprocedure;
begin
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('keep_layout_growing', 'keep_partitions_growing', 'partition_of', 'layouts_in_force', 'partition_shares', 'stopped_stream', 'resume_topic', 'skip_event') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
grant execute on function outbox.partition_of to outbox_producer, outbox_relay, outbox_observer;
grant execute on function outbox.layouts_in_force, outbox.partition_shares to outbox_relay;
grant select, insert on outbox.topic_layout to outbox_relay;
grant select on outbox.topic_stream to outbox_relay, outbox_observer;
grant select on outbox.topic_layout to outbox_observer;
