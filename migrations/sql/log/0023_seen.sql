-- Stored events, to be seen: streams with how far they are, and what a trace says of an event that goes nowhere.

create view outbox_ops.event_streams as
    -- A name of a stream may be that of a person.
    select case when has_table_privilege('outbox.stream', 'select') then s.name end as stream, c.name as category, coalesce(newest.version, outbox.version_of(s.id)) as version,
           coalesce(oldest.version, 0) as first_version, s.created_at, newest.recorded_at as last_recorded_at,
           (select max(step.through) from outbox.stream_step step where step.stream = s.id and step.action = 'archive') as archived_through,
           (select max(step.through) from outbox.stream_step step where step.stream = s.id and step.action in ('truncate', 'tombstone')) as removed_through,
           exists (select from outbox.stream_step step where step.stream = s.id and step.action = 'tombstone') as is_buried
    from outbox.stream s
    join outbox.category c on c.id = s.category
    left join lateral (select e.version, e.recorded_at from outbox.stored_event e where e.stream_id = s.id order by e.version desc limit 1) newest on true
    left join lateral (select e.version from outbox.stored_event e where e.stream_id = s.id order by e.version limit 1) oldest on true;
comment on view outbox_ops.event_streams is 'The streams of the event store. Ask by category, and with a limit.';
comment on column outbox_ops.event_streams.stream is 'Its name; null for who may not see keys (outbox_reader may).';
comment on column outbox_ops.event_streams.category is 'What the name begins with.';
comment on column outbox_ops.event_streams.version is 'Version of its last event; 0: it has none.';
comment on column outbox_ops.event_streams.first_version is 'Version of the first event that is still there; 0: none is.';
comment on column outbox_ops.event_streams.created_at is 'When its first append began.';
comment on column outbox_ops.event_streams.last_recorded_at is 'When its last event was recorded.';
comment on column outbox_ops.event_streams.archived_through is 'Up to which version it was archived at some time; null: never.';
comment on column outbox_ops.event_streams.removed_through is 'Up to which version its events were removed for good; null: none was.';
comment on column outbox_ops.event_streams.is_buried is 'Whether it was given a tombstone: it takes no events any more.';
alter view outbox_ops.event_streams owner to outbox_maintainer;
grant usage on schema outbox_ops to outbox_reader;
grant select on outbox_ops.event_streams to outbox_reader, outbox_observer;
grant execute on function outbox.version_of to outbox_observer;

-- As before, and of stored events their version and category. One without a topic is private: it waits for no stream.
create or replace function outbox.trace_log(event_id uuid) returns table (at timestamptz, step text, detail jsonb)
language sql stable security definer cost 1000 rows 10
set search_path = pg_catalog, pg_temp set jit = off set enable_seqscan = off as $$
    with recursive appended as materialized (
        select l.position, l.transaction_id, l.recorded_at, l.topic, l.key, l.id, l.source, l.type, l.schema_version,
               l.correlation_id, l.causation_id, l.traceparent, l.version, l.category
        from outbox.log l where l.id = event_id
        order by l.position limit 100
    ), ledger as materialized (
        select (select b.number from outbox.batch b order by b.number limit 1) as first,
               (select b.number from outbox.batch b order by b.number desc limit 1) as last
    ), halving as (
        select a.position, a.transaction_id, ledger.first as lower, ledger.last + 1 as upper from appended a, ledger
        union all
        select h.position, h.transaction_id,
               case when middle.sees then h.lower else middle.number + 1 end,
               case when middle.sees then middle.number else h.upper end
        from halving h
        cross join lateral (select b.number, pg_visible_in_snapshot(h.transaction_id, b.snapshot) as sees
                            from outbox.batch b where b.number = (h.lower + h.upper) / 2) middle
        where h.lower < h.upper
    ), placed as materialized (
        select a.*, b.number, b.batch_id, b.cut_at, b.epoch,
               h.lower <= ledger.first and ledger.first > 0 as is_forgotten,
               coalesce((select 1 + outbox.partition_of(coalesce(a.key, a.id::text), l.partitions) from outbox.topic_layout l
                         where l.topic = a.topic and l.batch_number <= b.number order by l.generation desc limit 1), 0) as slot
        from appended a
        join halving h on h.position = a.position and h.lower = h.upper
        cross join ledger
        left join outbox.batch b on b.number = h.lower
    ), put as (
        -- Its place among the entries of its stream: by its batch, and again by every re-issue that took it out of there.
        select p.position, p.topic, p.slot, p.number, p.batch_id, p.cut_at, p.epoch, null as missing, null as asked_by
        from placed p where p.number is not null and not p.is_forgotten and p.topic is not null
        union all
        select p.position, p.topic, p.slot, again.number, again.batch_id, again.cut_at, again.epoch, r.missing, r.asked_by
        from placed p
        join outbox.reissue r on r.topic = p.topic and r.partition = p.slot and r.batch_number > p.number
        join outbox.batch again on again.number = r.batch_number
        where not p.is_forgotten and not pg_visible_in_snapshot(p.transaction_id, r.base)
          and not exists (select from unnest(r.passed_snapshots, r.passed_positions) passed (snapshot, "position")
                          where p.position <= passed.position and pg_visible_in_snapshot(p.transaction_id, passed.snapshot))
    ), place as materialized (
        select put.*,
               case put.slot when 0 then put.topic else put.topic || ':' || put.slot - 1 end as stream,
               lead(put.number) over (partition by put.position order by put.number) as next_number
        from put
    ), sent as materialized (
        select place.*, passed.recorded_at as passed_at,
               skipped.acted_at as skipped_at, skipped.actor, skipped.reason,
               stopped.action as stopped, stopped.acted_at as stopped_at, stopped.reason as stopped_by
        from place
        left join lateral (select g.batch_number, g.recorded_at from outbox.progress g
                           where g.topic = place.topic and g.partition = place.slot
                             and (g.batch_number, g.position) >= (place.number, place.position)
                           order by g.batch_number, g.position limit 1) passed
            on passed.batch_number < place.next_number or place.next_number is null
        left join lateral (select s.acted_at, s.actor, s.reason from outbox.stream_action s
                           where s.topic = place.topic and s.partition = place.slot and s.action = 'skip' and s.position = place.position
                           order by s.number desc limit 1) skipped on true
        left join lateral (select latest.* from (select s.action, s.acted_at, s.reason from outbox.stream_action s
                                                 where s.topic = place.topic and s.partition = place.slot
                                                 order by s.number desc limit 1) latest
                           where latest.action in ('set_aside', 'blocked')) stopped on true
    )
    select recorded_at, 'appended', jsonb_strip_nulls(jsonb_build_object(
               'position', position, 'topic', topic, 'source', source, 'type', type, 'schema_version', schema_version,
               'correlation_id', correlation_id, 'causation_id', causation_id, 'traceparent', traceparent))
    from placed
    union all
    -- Of the category, not of the stream: its name is a key.
    select null, case when topic is null then 'private' else 'stored' end, jsonb_build_object(
               'position', position, 'version', version, 'category', (select c.name from outbox.category c where c.id = placed.category))
    from placed where version is not null
    union all
    select null, 'uncut', jsonb_build_object('position', position) from placed where number is null and topic is not null
    union all
    select null, 'forgotten', jsonb_build_object('position', position) from placed where is_forgotten
    union all
    select cut_at, case when missing is null then 'cut' else 'reissued' end, jsonb_strip_nulls(jsonb_build_object(
               'position', position, 'batch', number, 'batch_id', batch_id, 'epoch', epoch, 'missing', missing, 'asked_by', asked_by))
    from place
    union all
    select passed_at, 'published', jsonb_build_object(
               'position', position, 'batch', number, 'stream', stream, 'entry_id', batch_id || '-' || position,
               'below_floor', exists (select from outbox.trim_floor f
                                      where f.topic = sent.topic and f.partition = sent.slot
                                        and (f.batch_id, f.position) > (sent.batch_id, sent.position)))
    from sent where passed_at is not null and skipped_at is null
    union all
    select skipped_at, 'unpublished', jsonb_build_object('position', position, 'stream', stream, 'actor', actor, 'reason', reason)
    from sent where skipped_at is not null and next_number is null
    union all
    select stopped_at, 'unsent', jsonb_strip_nulls(jsonb_build_object(
               'position', position, 'stream', stream, 'state', stopped, 'reason', stopped_by))
    from sent where passed_at is null and next_number is null and skipped_at is null
$$;
