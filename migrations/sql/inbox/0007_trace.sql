-- What the consumers of this database know of one event, step by step. Without payload, key and what handlers said, and so for
-- observers too.

-- The attempts that failed before the one that succeeded. Empty for nearly all.
alter table outbox.inbox add column history jsonb;
alter table outbox.inbox_foreign add column history jsonb;
grant update (history) on outbox.inbox, outbox.inbox_foreign to outbox_consumer;

-- `at` is null for what is so and did not happen at a moment. `transaction` is the one that applied the event, as its row shows
-- it. Give source and time of record where they are known. Without a source, each that a consumer has seen is tried (the first
-- thousand of them), by index: nothing is searched.
create function outbox.trace_consumers(event_id text, source text default null, recorded_at timestamptz default null)
returns table (consumer text, at timestamptz, step text, detail jsonb)
language sql stable security definer cost 1000 rows 10
set search_path = pg_catalog, pg_temp set jit = off set enable_seqscan = off as $$
    with recursive seen as (
        select c.name as consumer, true as is_foreign,
               (select min(i.source) from outbox.inbox_foreign i where i.consumer = c.name) as source
        from outbox.consumer c where trace_consumers.source is null
        union all
        select c.name, false, (select min(i.source) from outbox.inbox i where i.consumer = c.name)
        from outbox.consumer c where trace_consumers.source is null
        union all
        select s.consumer, s.is_foreign,
               case when s.is_foreign
                    then (select min(i.source) from outbox.inbox_foreign i where i.consumer = s.consumer and i.source > s.source)
                    else (select min(i.source) from outbox.inbox i where i.consumer = s.consumer and i.source > s.source) end
        from seen s where s.source is not null
    ), origin as materialized (
        select distinct known.consumer, known.source
        from (select s.consumer, s.source from seen s where s.source is not null limit 1000) known
        union
        select c.name, trace_consumers.source from outbox.consumer c where trace_consumers.source is not null
    ), entry as materialized (
        select i.consumer, i.outcome, i.stream, i.entry_id, i.applied_at, i.history, i.xmin::text::bigint as transaction
        from origin o
        join outbox.inbox i on i.consumer = o.consumer and i.source = o.source and i.id = event_id
             and i.recorded_at between coalesce(trace_consumers.recorded_at, '-infinity') and coalesce(trace_consumers.recorded_at, 'infinity')
        union all
        select i.consumer, i.outcome, i.stream, i.entry_id, i.applied_at, i.history, i.xmin::text::bigint
        from origin o
        join outbox.inbox_foreign i on i.consumer = o.consumer and i.source = o.source and i.id = event_id
    ), parked as materialized (
        select e.consumer, e.stream, e.entry_id, e.attempts, e.history, e.dead_letter, e.parked_at, l.state, nullif(l.due_at, 'infinity') as due_at,
               (select count(*) from (select from outbox.parked_event before
                                      where (before.consumer, before.flow, before.lane) = (e.consumer, e.flow, e.lane) and before.place < e.place
                                      limit 10000) ahead) as ahead,
               case when l.state = 'dead' then (select max(d.number) from outbox.dead_letter d
                    where (d.consumer, d.flow, d.lane) = (e.consumer, e.flow, e.lane) and d.state = 'dead') end as behind
        from origin o
        join outbox.parked_event e on e.consumer = o.consumer and e.source = o.source and e.id = event_id
        left join outbox.parked_lane l on (l.consumer, l.flow, l.lane) = (e.consumer, e.flow, e.lane)
    ), letter as materialized (
        select d.* from outbox.dead_letter d
        where d.id = event_id and (trace_consumers.source is null or d.source = trace_consumers.source)
        order by d.number limit 1000
    ), attempt as (
        select distinct of.consumer, made.value - 'error' as made
        from (select e.consumer, e.history from entry e
              union all select p.consumer, p.history from parked p
              union all select d.consumer, d.history from letter d) of
        cross join lateral jsonb_array_elements(of.history) made
    )
    select consumer, (made ->> 'failed_at')::timestamptz, 'failed', made - 'failed_at' from attempt
    union all
    select consumer, applied_at, outcome, jsonb_strip_nulls(jsonb_build_object(
               'stream', stream, 'entry_id', entry_id, 'transaction', case when outcome = 'applied' then transaction end))
    from entry e
    where outcome in ('applied', 'skipped')
       or outcome = 'parked' and not exists (select from parked p where p.consumer = e.consumer)
       or outcome = 'dead' and not exists (select from letter d where d.consumer = e.consumer)
    union all
    select consumer, parked_at, 'parked', jsonb_strip_nulls(jsonb_build_object(
               'stream', stream, 'entry_id', entry_id, 'state', state, 'due_at', due_at, 'ahead', ahead, 'attempts', attempts,
               'letter', dead_letter, 'behind_letter', behind))
    from parked
    union all
    select consumer, dead_at, 'dead', jsonb_strip_nulls(jsonb_build_object(
               'stream', stream, 'entry_id', entry_id, 'letter', number, 'state', state, 'kind', error_kind, 'class', error_class,
               'fingerprint', fingerprint, 'attempts', attempts, 'redrives', redrives))
    from letter
    union all
    select consumer, edited_at, 'edited', jsonb_build_object('letter', number, 'actor', edited_by) from letter where edited_at is not null
    union all
    select d.consumer, d.changed_at, 'discarded', jsonb_strip_nulls(jsonb_build_object('letter', d.number, 'actor', said.actor, 'reason', said.reason))
    from letter d
    left join lateral (select a.actor, a.reason from outbox.consumer_audit a
                       where a.action = 'discard' and a.consumer = d.consumer and a.acted_at >= d.changed_at
                       order by a.number limit 1) said on true
    where d.state = 'discarded'
    union all
    select d.consumer, o.created_at, 'redriven', jsonb_strip_nulls(jsonb_build_object(
               'letter', d.number, 'operation', o.number, 'kind', o.kind, 'actor', o.actor, 'reason', o.reason, 'rate', o.rate,
               'state', o.state, 'item', i.state, 'item_changed_at', i.changed_at))
    from letter d
    join outbox.operation_item i on i.dead_letter = d.number
    join outbox.operation o on o.number = i.operation
$$;

alter function outbox.trace_consumers owner to outbox_maintainer;
revoke execute on function outbox.trace_consumers from public;
grant execute on function outbox.trace_consumers to outbox_consumer, outbox_observer, outbox_operator;
