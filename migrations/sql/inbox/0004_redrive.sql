-- Dead letters for people: what operators select, preview, put back, edit and discard, by functions for role
-- outbox_operator, and the views that show it. A redrive only writes an operation; the members of the group carry it out
-- (outbox.release_redrive_items), each letter under its lane's row, so that order is kept and a crash changes nothing.

-- Letters from before there were lanes: their keys went on without them. Older than every event that waits.
update outbox.dead_letter letter
set flow = regexp_replace(letter.stream, '^.*:', ''),
    lane = case when letter.id is null or letter.key is null then 'e' || letter.entry_id else 'k' || letter.key end,
    place = drawn.place,
    error_kind = case when letter.id is null then 'unreadable' else letter.error_kind end,
    fingerprint = left(encode(sha256(convert_to(coalesce(letter.type, '') || chr(31) || letter.error_class, 'UTF8')), 'hex'), 16)
from (select old.number, nextval('outbox.parked_place') as place
      from (select number from outbox.dead_letter where flow = '' order by number) old) drawn
where letter.number = drawn.number;
-- An event that dies at its first attempt was never parked: what comes behind it has a later place all the same.
alter table outbox.dead_letter alter column place set default nextval('outbox.parked_place');

-- States only go forward.

create function outbox.refuse_transition() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'outbox.% %: state % does not become %', tg_table_name, tg_argv[0], old.state, new.state using errcode = 'check_violation';
end
$$;
-- A letter whose event came again after its inbox was forgotten may die again, whatever became of it before.
create trigger state_advances before update on outbox.dead_letter for each row
    when (old.state <> new.state and (old.state, new.state) not in
          (('dead', 'redriving'), ('dead', 'discarded'), ('dead', 'applied'), ('redriving', 'applied'), ('redriving', 'dead'),
           ('applied', 'dead'), ('discarded', 'dead')))
    execute function outbox.refuse_transition('letter');
create trigger state_advances before update on outbox.operation for each row
    when (old.state <> new.state and (old.state, new.state) not in
          (('running', 'cancelled'), ('running', 'finished'), ('cancelled', 'running')))
    execute function outbox.refuse_transition('operation');
create trigger state_advances before update on outbox.operation_item for each row
    when (old.state <> new.state and old.state <> 'released' and (old.state, new.state) not in (('waiting', 'released'), ('waiting', 'dropped'))
          or old.state = 'released' and new.state = 'waiting')
    execute function outbox.refuse_transition('item');

create function outbox.keep_entry() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'dead letter % keeps what came; an edit is kept beside it', old.number using errcode = 'check_violation';
end
$$;
create trigger entry_stays before update of consumer, stream, entry_id, source, id, entry_fields on outbox.dead_letter for each row
    when ((old.consumer, old.stream, old.entry_id, old.source, old.id, old.entry_fields)
          is distinct from (new.consumer, new.stream, new.entry_id, new.source, new.id, new.entry_fields))
    execute function outbox.keep_entry();

-- Keys of business data are shown to those who may read the letters themselves: operators, and the consumer.
create function outbox.may_see_keys() returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select has_table_privilege('outbox.dead_letter', 'select')
$$;

-- Dead lanes, the letter that each waits for, and how many wait. One that is too old or could not be read never held its key.
create view outbox.held_lane as
    select l.consumer, l.flow, l.lane, holder.number as dead_letter,
           (select count(*) from outbox.parked_event e where (e.consumer, e.flow, e.lane) = (l.consumer, l.flow, l.lane)) as events
    from outbox.parked_lane l
    cross join lateral (
        select d.number from outbox.dead_letter d
        where (d.consumer, d.flow, d.lane) = (l.consumer, l.flow, l.lane)
          and d.state = 'dead' and d.error_kind not in ('unreadable', 'too_old')
        order by d.dead_at desc, d.number desc limit 1) holder
    where l.state = 'dead';
alter view outbox.held_lane owner to outbox_maintainer;

-- Columns are only added: those of before keep their places. An observer sees no keys.
create or replace view outbox_ops.dead_letters as
    select d.number, d.consumer, d.stream, d.entry_id, d.source, d.id, d.type,
           case when outbox.may_see_keys() then d.key end as key,
           d.recorded_at, d.error_class, d.attempts, d.first_failed_at, d.dead_at,
           d.state,
           d.flow as topic,
           d.error_kind,
           d.fingerprint,
           d.schema_version,
           d.redrives,
           d.edited_at,
           d.edited_by,
           d.changed_at,
           held.dead_letter is not null as holds_key,
           coalesce(held.events, 0) as waiting_events,
           (select max(i.operation) from outbox.operation_item i where i.dead_letter = d.number) as last_operation
    from outbox.dead_letter d
    left join outbox.held_lane held
        on (held.consumer, held.flow, held.lane) = (d.consumer, d.flow, d.lane) and held.dead_letter = d.number;

-- What operators see of consumers. Public, without payloads and without what handlers said; keys for operators only.

create or replace view outbox_ops.inbox as
    select lease.consumer,
           lease.stream,
           lease.holder,
           lease.epoch,
           case when lease.expires_at > clock_timestamp() then 'held' else 'free' end as lease,
           lease.acquired_at,
           lease.expires_at,
           progress.passed_batch::text || '-' || progress.passed_position::text as passed_entry,
           progress.moved_at,
           (select count(*) from outbox.consumer_failure f where f.consumer = lease.consumer and f.stream = lease.stream)
               + (select count(*) from outbox.parked_lane l
                  where l.consumer = lease.consumer and l.stream = lease.stream and l.state = 'retrying') as failing,
           least((select min(f.first_failed_at) from outbox.consumer_failure f where f.consumer = lease.consumer and f.stream = lease.stream),
                 (select min(l.parked_at) from outbox.parked_lane l
                  where l.consumer = lease.consumer and l.stream = lease.stream and l.state = 'retrying')) as failing_since,
           (select count(*) from outbox.dead_letter d
            where d.consumer = lease.consumer and d.stream = lease.stream and d.state = 'dead') as dead_letters
    from outbox.consumer_lease lease
    left join outbox.consumer_stream progress using (consumer, stream);

create view outbox_ops.consumer_partitions as
    select i.consumer, i.stream, i.holder, i.epoch, i.lease, i.expires_at, i.passed_entry, i.moved_at,
           waiting.parked_keys, waiting.parked_events, waiting.due_keys, i.dead_letters
    from outbox_ops.inbox i
    cross join lateral (
        select count(*) as parked_keys,
               coalesce(sum((select count(*) from outbox.parked_event e
                             where (e.consumer, e.flow, e.lane) = (l.consumer, l.flow, l.lane))), 0)::bigint as parked_events,
               count(*) filter (where l.due_at <= clock_timestamp()) as due_keys
        from outbox.parked_lane l where l.consumer = i.consumer and l.stream = i.stream) waiting;
comment on view outbox_ops.consumer_partitions is 'One row per consumer group and stream: who applies it, how far it came, what waits.';
comment on column outbox_ops.consumer_partitions.consumer is 'Consumer group.';
comment on column outbox_ops.consumer_partitions.stream is 'Stream; a topic of several partitions has one for each.';
comment on column outbox_ops.consumer_partitions.holder is 'Member that applies it, or did last.';
comment on column outbox_ops.consumer_partitions.epoch is 'Rises with each change of hands.';
comment on column outbox_ops.consumer_partitions.lease is '`held` or `free`.';
comment on column outbox_ops.consumer_partitions.expires_at is 'Until when it is held, if it is not renewed.';
comment on column outbox_ops.consumer_partitions.passed_entry is 'Entry last passed: it and everything before it is finished.';
comment on column outbox_ops.consumer_partitions.moved_at is 'When that moved.';
comment on column outbox_ops.consumer_partitions.parked_keys is 'Keys that wait, and events without key that do.';
comment on column outbox_ops.consumer_partitions.parked_events is 'Events that wait in them.';
comment on column outbox_ops.consumer_partitions.due_keys is 'Those whose time to be tried has come.';
comment on column outbox_ops.consumer_partitions.dead_letters is 'Dead letters that wait for a person.';

create view outbox_ops.consumers as
    select c.name as consumer,
           case when c.paused_at is not null then 'paused' when streams.held > 0 then 'applying' else 'stopped' end as state,
           (select count(*) from outbox.consumer_member m
            where m.consumer = c.name and m.seen_at > clock_timestamp() - interval '30 seconds') as members,
           streams.streams,
           streams.held as held_streams,
           lanes.parked_keys,
           (select count(*) from outbox.parked_event e where e.consumer = c.name) as parked_events,
           lanes.retrying_keys,
           letters.dead_letters,
           letters.oldest_dead_at,
           (select count(*) from outbox.operation o where o.consumer = c.name and o.state = 'running') as running_operations,
           c.paused_at,
           c.paused_by,
           c.paused_reason,
           c.forgotten_until,
           c.created_at
    from outbox.consumer c
    cross join lateral (select count(*) as streams, count(*) filter (where l.expires_at > clock_timestamp()) as held
                        from outbox.consumer_lease l where l.consumer = c.name) streams
    cross join lateral (select count(*) as parked_keys, count(*) filter (where l.state = 'retrying') as retrying_keys
                        from outbox.parked_lane l where l.consumer = c.name) lanes
    cross join lateral (select count(*) as dead_letters, min(d.dead_at) as oldest_dead_at
                        from outbox.dead_letter d where d.consumer = c.name and d.state = 'dead') letters;
comment on view outbox_ops.consumers is 'One row per consumer group: whether it applies, and what of it waits.';
comment on column outbox_ops.consumers.consumer is 'Consumer group.';
comment on column outbox_ops.consumers.state is '`applying`; `paused` by a person; `stopped`: no member holds a stream.';
comment on column outbox_ops.consumers.members is 'Members seen within 30 seconds.';
comment on column outbox_ops.consumers.streams is 'Streams that it has applied.';
comment on column outbox_ops.consumers.held_streams is 'Streams that a member holds now.';
comment on column outbox_ops.consumers.parked_keys is 'Keys that wait, and events without key that do.';
comment on column outbox_ops.consumers.parked_events is 'Events that wait in them.';
comment on column outbox_ops.consumers.retrying_keys is 'Those of them whose first event failed and is tried again.';
comment on column outbox_ops.consumers.dead_letters is 'Dead letters that wait for a person.';
comment on column outbox_ops.consumers.oldest_dead_at is 'When the oldest of them died.';
comment on column outbox_ops.consumers.running_operations is 'Redrives under way.';
comment on column outbox_ops.consumers.paused_at is 'When a person paused it.';
comment on column outbox_ops.consumers.paused_by is 'Who.';
comment on column outbox_ops.consumers.paused_reason is 'Why.';
comment on column outbox_ops.consumers.forgotten_until is 'Ids of events recorded before this were dropped from the inbox.';
comment on column outbox_ops.consumers.created_at is 'When the group was first seen.';

create view outbox_ops.parked_keys as
    select l.consumer,
           l.flow as topic,
           case when outbox.may_see_keys() then coalesce(head.key, case when l.lane ^@ 'k' then substr(l.lane, 2) end) end as key,
           l.state,
           l.stream,
           (select count(*) from outbox.parked_event e where (e.consumer, e.flow, e.lane) = (l.consumer, l.flow, l.lane)) as events,
           nullif(l.due_at, 'infinity') as due_at,
           l.parked_at,
           l.changed_at,
           held.dead_letter,
           head.id as first_event,
           head.type as first_type,
           head.attempts
    from outbox.parked_lane l
    left join outbox.held_lane held on (held.consumer, held.flow, held.lane) = (l.consumer, l.flow, l.lane)
    left join lateral (select p.key, p.id, p.type, p.attempts from outbox.parked_event p
                       where (p.consumer, p.flow, p.lane) = (l.consumer, l.flow, l.lane) order by p.place limit 1) head on true;
comment on view outbox_ops.parked_keys is 'One row per key that waits, and per event without key that does.';
comment on column outbox_ops.parked_keys.consumer is 'Consumer group.';
comment on column outbox_ops.parked_keys.topic is 'Topic, with `@writer` where several databases write it.';
comment on column outbox_ops.parked_keys.key is 'The key; null for an event without one, and for who may not see keys.';
comment on column outbox_ops.parked_keys.state is '`retrying`: the first event failed and is tried again; `waiting_version`: until a member knows its version; `dead`: it waits behind a dead letter; `draining`: going back.';
comment on column outbox_ops.parked_keys.stream is 'Stream whose owner applies what waits.';
comment on column outbox_ops.parked_keys.events is 'Events that wait; the dead letter is not among them.';
comment on column outbox_ops.parked_keys.due_at is 'When the first one is tried next; null when it waits for something else.';
comment on column outbox_ops.parked_keys.parked_at is 'Since when the key waits.';
comment on column outbox_ops.parked_keys.changed_at is 'When that last changed.';
comment on column outbox_ops.parked_keys.dead_letter is 'Number of the dead letter that it waits for.';
comment on column outbox_ops.parked_keys.first_event is 'Id of the first event that waits.';
comment on column outbox_ops.parked_keys.first_type is 'Its type.';
comment on column outbox_ops.parked_keys.attempts is 'Its failed attempts.';

create view outbox_ops.retries as
    select e.consumer,
           e.flow as topic,
           case when outbox.may_see_keys() then e.key end as key,
           e.stream,
           e.entry_id,
           e.source,
           e.id,
           e.type,
           e.attempts,
           e.history -> -1 ->> 'class' as error_class,
           e.first_failed_at,
           (e.history -> -1 ->> 'failed_at')::timestamptz as failed_at,
           nullif(l.due_at, 'infinity') as retry_at
    from outbox.parked_event e
    join outbox.parked_lane l on (l.consumer, l.flow, l.lane) = (e.consumer, e.flow, e.lane)
    where e.attempts > 0;
comment on view outbox_ops.retries is 'One row per event that failed and is tried again.';
comment on column outbox_ops.retries.consumer is 'Consumer group.';
comment on column outbox_ops.retries.topic is 'Topic, with `@writer` where several databases write it.';
comment on column outbox_ops.retries.key is 'Its key; null for who may not see keys.';
comment on column outbox_ops.retries.stream is 'Stream it came from.';
comment on column outbox_ops.retries.entry_id is 'Its entry there.';
comment on column outbox_ops.retries.source is 'Source of the event.';
comment on column outbox_ops.retries.id is 'Id of the event.';
comment on column outbox_ops.retries.type is 'Type of the event.';
comment on column outbox_ops.retries.attempts is 'Failed attempts so far.';
comment on column outbox_ops.retries.error_class is 'Class of the last error.';
comment on column outbox_ops.retries.first_failed_at is 'When the first attempt failed.';
comment on column outbox_ops.retries.failed_at is 'When the last attempt failed.';
comment on column outbox_ops.retries.retry_at is 'When the next one is due.';

create view outbox_ops.dead_letter_groups as
    select d.consumer,
           d.fingerprint,
           min(d.type) as type,
           min(d.error_class) as error_class,
           min(d.error_kind) as error_kind,
           array_agg(distinct d.flow order by d.flow) as topics,
           count(*) as letters,
           count(distinct (d.flow, d.lane)) filter (where d.key is not null) as keys,
           count(held.dead_letter) as held_keys,
           coalesce(sum(held.events), 0)::bigint as waiting_events,
           count(*) filter (where d.redrives > 0) as redriven_before,
           count(d.edited_at) as edited,
           min(d.dead_at) as first_dead_at,
           max(d.dead_at) as last_dead_at,
           min(d.number) as first_number,
           max(d.number) as last_number
    from outbox.dead_letter d
    left join outbox.held_lane held
        on (held.consumer, held.flow, held.lane) = (d.consumer, d.flow, d.lane) and held.dead_letter = d.number
    where d.state = 'dead'
    group by d.consumer, d.fingerprint;
comment on view outbox_ops.dead_letter_groups is 'Dead letters that wait for a person, by what went wrong: type, class of error, and its text without numbers, ids and quoted words.';
comment on column outbox_ops.dead_letter_groups.consumer is 'Consumer group.';
comment on column outbox_ops.dead_letter_groups.fingerprint is 'Names the group; the same in every consumer and at any time.';
comment on column outbox_ops.dead_letter_groups.type is 'Type of the events; null when they could not be read.';
comment on column outbox_ops.dead_letter_groups.error_class is 'Class of the error: an SQLSTATE, or a word such as `handler`, `panic`, `timeout`, `unreadable`.';
comment on column outbox_ops.dead_letter_groups.error_kind is '`transient`: out of attempts; `poison`: the handler said that trying again is useless; `unreadable`: no event; `too_old`: nobody can say whether it had its effect.';
comment on column outbox_ops.dead_letter_groups.topics is 'Topics of the events.';
comment on column outbox_ops.dead_letter_groups.letters is 'Dead letters.';
comment on column outbox_ops.dead_letter_groups.keys is 'Keys of theirs.';
comment on column outbox_ops.dead_letter_groups.held_keys is 'Keys that wait for one of these letters.';
comment on column outbox_ops.dead_letter_groups.waiting_events is 'Later events of those keys, which wait too.';
comment on column outbox_ops.dead_letter_groups.redriven_before is 'Letters that were put back before and died again.';
comment on column outbox_ops.dead_letter_groups.edited is 'Letters whose data was edited.';
comment on column outbox_ops.dead_letter_groups.first_dead_at is 'When the first of them died.';
comment on column outbox_ops.dead_letter_groups.last_dead_at is 'When the last of them died.';
comment on column outbox_ops.dead_letter_groups.first_number is 'Lowest number of a letter, to look at one.';
comment on column outbox_ops.dead_letter_groups.last_number is 'Highest number of a letter.';

create view outbox_ops.operations as
    select o.number,
           o.kind,
           o.consumer,
           o.state,
           o.actor,
           o.reason,
           case when outbox.may_see_keys() then o.filter else o.filter - 'key' end as filter,
           o.rate,
           o.total,
           items.waiting,
           items.released,
           items.applied,
           items.dead,
           items.dropped,
           o.created_at,
           o.resumed_at,
           o.finished_at
    from outbox.operation o
    cross join lateral (
        select count(*) filter (where i.state = 'waiting') as waiting,
               count(*) filter (where i.state = 'released') as released,
               count(*) filter (where i.state = 'applied') as applied,
               count(*) filter (where i.state = 'dead') as dead,
               count(*) filter (where i.state = 'dropped') as dropped
        from outbox.operation_item i where i.operation = o.number) items;
comment on view outbox_ops.operations is 'One row per thing that an operator asked for, with its progress.';
comment on column outbox_ops.operations.number is 'Number of the operation.';
comment on column outbox_ops.operations.kind is 'What is done.';
comment on column outbox_ops.operations.consumer is 'Consumer group.';
comment on column outbox_ops.operations.state is '`running`; `cancelled`: nothing more is put back until it is resumed; `finished`.';
comment on column outbox_ops.operations.actor is 'Login that asked for it.';
comment on column outbox_ops.operations.reason is 'Why.';
comment on column outbox_ops.operations.filter is 'What was selected, as given.';
comment on column outbox_ops.operations.rate is 'Letters put back per second; null for as fast as they are applied.';
comment on column outbox_ops.operations.total is 'Letters selected.';
comment on column outbox_ops.operations.waiting is 'Letters that are still to be put back.';
comment on column outbox_ops.operations.released is 'Letters that were put back and not applied yet.';
comment on column outbox_ops.operations.applied is 'Letters that had their effect.';
comment on column outbox_ops.operations.dead is 'Letters that died again.';
comment on column outbox_ops.operations.dropped is 'Letters that were no longer dead when their turn came: discarded, or put back by another operation.';
comment on column outbox_ops.operations.created_at is 'When it was asked for.';
comment on column outbox_ops.operations.resumed_at is 'When it was resumed last.';
comment on column outbox_ops.operations.finished_at is 'When the last letter was done.';

create view outbox_ops.audit as
    select a.number, a.acted_at, a.actor, a.action, a.consumer,
           case when outbox.may_see_keys() then a.target else a.target #- '{filter,key}' end as target,
           a.reason
    from outbox.consumer_audit a;
comment on view outbox_ops.audit is 'Every change that a person made to a consumer. Append-only.';
comment on column outbox_ops.audit.number is 'Order of the changes.';
comment on column outbox_ops.audit.acted_at is 'When.';
comment on column outbox_ops.audit.actor is 'Login that did it.';
comment on column outbox_ops.audit.action is 'What: `redrive`, `cancel`, `resume`, `edit`, `discard` and others.';
comment on column outbox_ops.audit.consumer is 'Consumer group.';
comment on column outbox_ops.audit.target is 'What it was done to.';
comment on column outbox_ops.audit.reason is 'Why.';

-- A filter as a condition on outbox_ops.dead_letters v: all of its members hold, and of numbers and ids either one. Every
-- value is quoted here; nothing else of it reaches a statement.
create function outbox.dead_letter_predicate(filter jsonb) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    name text;
    given jsonb;
    words text[];
    word text;
    terms text[] := '{true}';
    either text[] := '{}';
begin
    if jsonb_typeof(filter) is distinct from 'object' then
        raise exception 'a filter is a JSON object such as {"fingerprint": "0f1e2d3c4b5a6978"}' using errcode = 'invalid_parameter_value';
    end if;
    for name, given in select * from jsonb_each(filter) loop
        if jsonb_typeof(given) <> (case when name in ('numbers', 'ids') then 'array' else 'string' end) then
            raise exception 'filter: % must be %', name, case when name in ('numbers', 'ids') then 'a list' else 'a text' end
                using errcode = 'invalid_parameter_value';
        end if;
        word := given #>> '{}';
        if name in ('numbers', 'ids') then
            words := array(select jsonb_array_elements_text(given));
        elsif name in ('dead_before', 'dead_after') then
            word := word::timestamptz;
        elsif name = 'error_kind' and word not in ('transient', 'poison', 'unreadable', 'too_old') then
            raise exception 'filter: error_kind is one of transient, poison, unreadable, too_old' using errcode = 'invalid_parameter_value';
        end if;
        if name = 'numbers' then
            either := either || format('v.number = any (%L::bigint[])', words::bigint[]);
            continue;
        elsif name = 'ids' then
            either := either || format('v.id = any (%L::text[])', words);
            continue;
        end if;
        terms := terms || case name
            when 'consumer' then format('v.consumer = %L', word)
            when 'fingerprint' then format('v.fingerprint = %L', word)
            when 'key' then format('v.key = %L', word)
            when 'topic' then format('(v.topic = %L or starts_with(v.topic, %L))', word, word || '@')
            when 'stream' then format('v.stream = %L', word)
            when 'type' then format('v.type = %L', word)
            when 'error_class' then format('v.error_class = %L', word)
            when 'error_kind' then format('v.error_kind = %L', word)
            when 'dead_before' then format('v.dead_at < %L::timestamptz', word)
            when 'dead_after' then format('v.dead_at >= %L::timestamptz', word)
        end;
        if terms[cardinality(terms)] is null then
            raise exception 'filter: % is unknown', name
                using errcode = 'invalid_parameter_value',
                      hint = 'known: consumer, numbers, ids, fingerprint, key, topic, stream, type, error_class, error_kind, dead_before, dead_after';
        end if;
    end loop;
    if either <> '{}' then
        terms := terms || format('(%s)', array_to_string(either, ' or '));
    end if;
    return array_to_string(terms, ' and ');
end
$$;

-- The letters of a filter by number, from the one after `after` on. With the rights of who asks: it is read from the view.
create function outbox.select_dead_letters(
    filter jsonb, states text[] default '{dead}', after bigint default 0, most bigint default null) returns setof bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    return query execute format(
        'select v.number from outbox_ops.dead_letters v where v.number > %s and v.state = any (%L) and %s order by v.number limit %s',
        after, states, outbox.dead_letter_predicate(filter), coalesce(most::text, 'all'));
end
$$;

-- What a redrive of this filter takes, and why it leaves others: one answer for the preview and for the redrive.
create function outbox.redrivable(filter jsonb)
returns table (number bigint, consumer text, flow text, lane text, place bigint, obstacle text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
    return query execute format(
        'select d.number, d.consumer, d.flow, d.lane, d.place,
                case when d.id is null then ''unreadable''
                     -- Whether it had its effect nobody knows: only if a person says so.
                     when d.error_kind = ''too_old'' and %L is distinct from ''too_old'' then ''too_old''
                     when exists (select from outbox.operation_item i join outbox.operation o on o.number = i.operation
                                  where i.dead_letter = d.number and i.state = ''waiting'' and o.state = ''running'') then ''going''
                end
         from outbox_ops.dead_letters v join outbox.dead_letter d on d.number = v.number
         where v.state = ''dead'' and %s', filter ->> 'error_kind', outbox.dead_letter_predicate(filter));
end
$$;

-- What a redrive of this filter would do, per consumer.
create function outbox.preview_redrive(filter jsonb)
returns table (
    consumer text, letters bigint, keys bigint, some_keys text[], followers bigint, behind_others bigint, keys_gone_on bigint,
    older_than_inbox bigint, edited bigint, redriven_before bigint, first_dead_at timestamptz, last_dead_at timestamptz,
    left_unreadable bigint, left_too_old bigint, left_going bigint, members bigint, is_paused boolean)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with chosen as materialized (
        select r.*, d.key, d.dead_at, d.edited_at, d.redrives, d.error_kind, d.recorded_at
        from outbox.redrivable(filter) r join outbox.dead_letter d on d.number = r.number
    ), lane as (
        select c.consumer, c.flow, c.lane, min(c.key) as key, count(*) as letters, min(held.dead_letter) as holder,
               coalesce(bool_or(c.number = held.dead_letter), false) as is_freed,
               coalesce(min(held.events), 0) as events
        from chosen c
        left join outbox.held_lane held on (held.consumer, held.flow, held.lane) = (c.consumer, c.flow, c.lane)
        where c.obstacle is null
        group by c.consumer, c.flow, c.lane
    ), lanes as (
        select lane.consumer,
               count(distinct lane.key) as keys,
               (array_agg(lane.key order by lane.key) filter (where lane.key is not null))[1:10] as some_keys,
               sum(lane.events) filter (where lane.is_freed)::bigint as followers,
               sum(lane.letters) filter (where lane.holder is not null and not lane.is_freed)::bigint as behind_others,
               count(*) filter (where lane.holder is null and lane.lane ^@ 'k') as keys_gone_on
        from lane group by lane.consumer
    ), letters as (
        select c.consumer,
               count(*) filter (where c.obstacle is null) as letters,
               count(*) filter (where c.obstacle is null
                                and (c.error_kind = 'too_old' or c.recorded_at < group_of.forgotten_until
                                     or c.recorded_at < clock_timestamp() - settings.keep)) as older_than_inbox,
               count(c.edited_at) filter (where c.obstacle is null) as edited,
               count(*) filter (where c.obstacle is null and c.redrives > 0) as redriven_before,
               min(c.dead_at) filter (where c.obstacle is null) as first_dead_at,
               max(c.dead_at) filter (where c.obstacle is null) as last_dead_at,
               count(*) filter (where c.obstacle = 'unreadable') as left_unreadable,
               count(*) filter (where c.obstacle = 'too_old') as left_too_old,
               count(*) filter (where c.obstacle = 'going') as left_going
        from chosen c
        cross join outbox.inbox_settings settings
        left join outbox.consumer group_of on group_of.name = c.consumer
        group by c.consumer
    )
    select d.consumer, d.letters, coalesce(k.keys, 0), coalesce(k.some_keys, '{}'), coalesce(k.followers, 0), coalesce(k.behind_others, 0),
           coalesce(k.keys_gone_on, 0), d.older_than_inbox, d.edited, d.redriven_before, d.first_dead_at, d.last_dead_at,
           d.left_unreadable, d.left_too_old, d.left_going, coalesce(c.members, 0), coalesce(c.state = 'paused', false)
    from letters d
    left join lanes k on k.consumer = d.consumer
    left join outbox_ops.consumers c on c.consumer = d.consumer
    order by d.consumer
$$;

create function outbox.refuse_without_reason(reason text) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    if btrim(coalesce(reason, '')) = '' or length(reason) > 2000 then
        raise exception 'say why, in 1 to 2000 characters: it is kept in the audit' using errcode = 'invalid_parameter_value';
    end if;
end
$$;

-- Whether a filter leaves no dead letter out, or none of the consumer that it names. Bounds of time that leave nothing out are no
-- filter either.
create function outbox.takes_everything(filter jsonb) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if filter - array['consumer', 'dead_before', 'dead_after'] <> '{}' then
        return false;
    end if;
    return filter - 'consumer' = '{}' or not exists (
        select from outbox.dead_letter d
        where d.state = 'dead' and (filter ->> 'consumer' is null or d.consumer = filter ->> 'consumer')
          and d.number not in (select outbox.select_dead_letters(filter)));
end
$$;

create function outbox.refuse_everything(filter jsonb, all_of_them boolean) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if not coalesce(all_of_them, false) and outbox.takes_everything(filter) then
        raise exception 'this filter takes every dead letter%', coalesce(' of consumer ' || (filter ->> 'consumer'), '')
            using errcode = 'invalid_parameter_value', hint = 'narrow it, or pass all_of_them => true';
    end if;
end
$$;

-- One consumer at a time: what is right for one may be wrong for another.
create function outbox.refuse_several(consumers text[]) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    if cardinality(consumers) > 1 then
        raise exception 'dead letters of several consumers match: %', array_to_string(consumers, ', ')
            using errcode = 'invalid_parameter_value', hint = 'name one consumer in the filter';
    end if;
end
$$;

-- Asks for a redrive, and returns the number of its operation. The members of the group carry it out.
create function outbox.redrive(filter jsonb, reason text, rate double precision default null, all_of_them boolean default false) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    consumers text[];
    made bigint;
    letters bigint;
begin
    perform outbox.refuse_without_reason(reason);
    perform outbox.refuse_everything(filter, all_of_them);
    consumers := array(select distinct r.consumer from outbox.redrivable(filter) r where r.obstacle is null order by 1);
    -- Slower than about one a day is nobody's rate, and leads to times that no interval holds.
    if not rate between 1e-5 and 1e6 then
        raise exception 'a rate is from 0.00001 (about one a day) to 1000000 dead letters per second' using errcode = 'invalid_parameter_value';
    elsif cardinality(consumers) = 0 then
        raise exception 'no dead letter matches that can go back' using errcode = 'no_data_found';
    end if;
    perform outbox.refuse_several(consumers);
    insert into outbox.operation (kind, consumer, filter, reason, rate, total)
    values ('redrive', consumers[1], filter, reason, rate, 0) returning operation.number into made;
    -- Lane by lane, the oldest first, and within a lane in its order.
    insert into outbox.operation_item (operation, place, dead_letter)
    select made, row_number() over (order by ordered.eldest, ordered.place, ordered.number), ordered.number
    from (select r.*, min(r.number) over (partition by r.flow, r.lane) as eldest
          from outbox.redrivable(filter) r where r.obstacle is null and r.consumer = consumers[1]) ordered;
    get diagnostics letters = row_count;
    update outbox.operation o set total = letters where o.number = made;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('redrive', consumers[1], jsonb_build_object('operation', made, 'filter', filter, 'letters', letters, 'rate', rate), reason);
    return made;
end
$$;

-- Puts one letter back into its lane, at its old place: 'released'; 'dropped' when it is no longer dead; 'busy' when its
-- lane or itself is in other hands. Waits for nobody longer than the caller's lock_timeout, so that nothing deadlocks
-- with the transactions that apply.
create function outbox.put_back(letter_number bigint) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    letter outbox.dead_letter;
    line outbox.parked_lane;
    holder bigint;
    had text;
    goes boolean := false;
begin
    select * into letter from outbox.dead_letter d where d.number = letter_number for no key update skip locked;
    if not found then
        return 'busy';
    elsif letter.state <> 'dead' or letter.id is null then
        return 'dropped';
    end if;
    select * into line from outbox.parked_lane l
    where (l.consumer, l.flow, l.lane) = (letter.consumer, letter.flow, letter.lane) for update skip locked;
    if not found then
        -- Its key went on, or it never had one.
        begin
            insert into outbox.parked_lane (consumer, flow, lane, state, stream, due_at)
            values (letter.consumer, letter.flow, letter.lane, 'draining', letter.stream, clock_timestamp())
            on conflict do nothing returning * into line;
        exception
            when lock_not_available then return 'busy';
        end;
        if line.consumer is null then
            return 'busy';
        end if;
    end if;
    holder := (select held.dead_letter from outbox.held_lane held
               where (held.consumer, held.flow, held.lane) = (letter.consumer, letter.flow, letter.lane));
    had := outbox.outcome_of(letter);
    if had is null then
        begin
            perform outbox.remember_dead(letter);
        exception
            when lock_not_available then return 'busy';
        end;
    end if;
    if had is distinct from 'applied' then
        -- The same event may wait under another entry already.
        insert into outbox.parked_event (consumer, flow, lane, place, stream, entry_id, source, id, type, schema_version, key, recorded_at,
                                         entry_fields, history, first_failed_at, dead_letter)
        values (letter.consumer, letter.flow, letter.lane, letter.place, letter.stream, letter.entry_id, letter.source, letter.id, letter.type,
                letter.schema_version, letter.key, letter.recorded_at, coalesce(letter.edited_fields, letter.entry_fields),
                letter.history, letter.first_failed_at, letter.number)
        on conflict do nothing;
        goes := found;
    end if;
    update outbox.dead_letter d
    set state = case when had = 'applied' then 'applied' when goes then 'redriving' else d.state end,
        redrives = d.redrives + goes::integer, changed_at = clock_timestamp()
    where d.number = letter.number;
    -- Where another letter is in front that nobody asked for, it waits behind that.
    perform outbox.let_lane_go_on(line, holder is null or holder = letter.number and (goes or had = 'applied'), letter.place);
    return case when goes then 'released' else 'dropped' end;
end
$$;

-- After a letter joined or left a lane, whose row the caller holds for update: an empty lane goes; one that no letter holds
-- is due now, unless another event than the one at `place` is its first and has a time of its own.
create function outbox.let_lane_go_on(line outbox.parked_lane, is_free boolean, place bigint) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    first bigint := (select min(e.place) from outbox.parked_event e
                     where (e.consumer, e.flow, e.lane) = (line.consumer, line.flow, line.lane));
begin
    if first is null then
        delete from outbox.parked_lane l where (l.consumer, l.flow, l.lane) = (line.consumer, line.flow, line.lane);
    elsif is_free and (line.state = 'dead' or first = let_lane_go_on.place) then
        update outbox.parked_lane l set state = 'draining', due_at = clock_timestamp(), changed_at = clock_timestamp()
        where (l.consumer, l.flow, l.lane) = (line.consumer, line.flow, line.lane);
    end if;
end
$$;

-- What the inbox knows of a letter's event. An id that was appended twice has two times of recording: the days around are
-- looked at too, as those who apply do it. Planned with the days in hand: no other one is locked.
create function outbox.outcome_of(letter outbox.dead_letter) returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = 'force_custom_plan' as $$
declare
    since timestamptz := letter.recorded_at - interval '31 days';
    until timestamptz := letter.recorded_at + interval '31 days';
begin
    return (
        select seen.outcome
        from (select i.outcome from outbox.inbox i
              where (i.consumer, i.source, i.id) = (letter.consumer, letter.source, letter.id)
                and i.recorded_at >= since and i.recorded_at <= until
              union all
              select f.outcome from outbox.inbox_foreign f
              where (f.consumer, f.source, f.id) = (letter.consumer, letter.source, letter.id)) seen
        order by seen.outcome = 'applied' desc limit 1);
end
$$;

-- The inbox forgot the event, and the letter says that it had no effect.
create function outbox.remember_dead(letter outbox.dead_letter) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if letter.recorded_at is not null and outbox.ensure_inbox_day(letter.recorded_at) then
        insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
        values (letter.consumer, letter.source, letter.id, letter.recorded_at, 'dead', letter.stream, letter.entry_id);
    else
        insert into outbox.inbox_foreign (consumer, source, id, outcome, stream, entry_id, recorded_at)
        values (letter.consumer, letter.source, letter.id, 'dead', letter.stream, letter.entry_id,
                case when letter.recorded_at < clock_timestamp() then letter.recorded_at end);
    end if;
end
$$;

-- Carries a redrive on: puts back as many letters as its rate allows by now, and returns how many. Any member calls it, as
-- often as it likes; two at once do not add up. Without a rate the next ones go when the earlier ones were applied; those that
-- only took their place behind a letter that nobody asked for, or that died again, keep no other key waiting.
create function outbox.release_redrive_items(operation bigint) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
    asked outbox.operation;
    item record;
    room bigint;
    outcome text;
    busy_lane text := '';
    found_in_line bigint;
    released integer := 0;
    now timestamptz := clock_timestamp();
begin
    select * into asked from outbox.operation o
    where o.number = release_redrive_items.operation and o.kind = 'redrive' and o.state = 'running' for update skip locked;
    if not found or exists (select from outbox.consumer c where c.name = asked.consumer and c.paused_at is not null) then
        return 0;
    end if;
    select 1000 - count(*) into room from outbox.operation_item i where i.operation = asked.number and i.state = 'released' and not i.in_line;
    if room < 500 then
        -- Each is found in line once, and from then on not looked at again: that bounds this.
        update outbox.operation_item i set in_line = true
        from (select r.place from outbox.operation_item r
              join outbox.dead_letter d on d.number = r.dead_letter
              join outbox.parked_lane l on (l.consumer, l.flow, l.lane) = (d.consumer, d.flow, d.lane)
              where r.operation = asked.number and r.state = 'released' and not r.in_line and l.state = 'dead'
              for no key update of r skip locked) standing
        where i.operation = asked.number and i.place = standing.place;
        get diagnostics found_in_line = row_count;
        room := room + found_in_line;
    end if;
    if asked.rate is not null then
        asked.released_until := greatest(asked.released_until, now - greatest(interval '2 seconds', interval '1 second' / asked.rate));
        room := least(room, floor(extract(epoch from now - asked.released_until) * asked.rate));
    end if;
    for item in
        select i.place, d.number, d.flow || chr(31) || d.lane as lane
        from outbox.operation_item i join outbox.dead_letter d on d.number = i.dead_letter
        where i.operation = asked.number and i.state = 'waiting' order by i.place limit greatest(0, least(room, 500))
    loop
        -- Nothing of a lane overtakes what is before it.
        continue when item.lane = busy_lane;
        outcome := outbox.put_back(item.number);
        if outcome = 'busy' then
            busy_lane := item.lane;
            continue;
        end if;
        released := released + (outcome = 'released')::integer;
        update outbox.operation_item i set state = outcome, changed_at = clock_timestamp()
        where i.operation = asked.number and i.place = item.place;
    end loop;
    update outbox.operation o
    set released_until = coalesce(asked.released_until + released * interval '1 second' / asked.rate, now)
    where o.number = asked.number and released > 0;
    update outbox.operation o set state = 'finished', finished_at = clock_timestamp()
    where o.number = asked.number
      and not exists (select from outbox.operation_item i where i.operation = asked.number and i.state = 'waiting')
      and not exists (select from outbox.operation_item i where i.operation = asked.number and i.state = 'released');
    return released;
end
$$;

-- No further letter goes back; those that went, went.
create function outbox.cancel_operation(number bigint, reason text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    cancelled outbox.operation;
begin
    perform outbox.refuse_without_reason(reason);
    update outbox.operation o set state = 'cancelled' where o.number = cancel_operation.number and o.state = 'running'
    returning * into cancelled;
    if not found then
        perform outbox.refuse_operation(cancel_operation.number, 'running');
    end if;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('cancel', cancelled.consumer, jsonb_build_object('operation', cancelled.number), reason);
end
$$;

-- A cancelled operation goes on with what it had not done.
create function outbox.resume_operation(number bigint, reason text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    resumed outbox.operation;
begin
    perform outbox.refuse_without_reason(reason);
    update outbox.operation o set state = 'running', resumed_at = clock_timestamp(), released_until = clock_timestamp()
    where o.number = resume_operation.number and o.state = 'cancelled'
    returning * into resumed;
    if not found then
        perform outbox.refuse_operation(resume_operation.number, 'cancelled');
    end if;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('resume', resumed.consumer, jsonb_build_object('operation', resumed.number), reason);
end
$$;

create function outbox.refuse_operation(number bigint, needed text) returns void
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    state text := (select o.state from outbox.operation o where o.number = refuse_operation.number);
begin
    if state is null then
        raise exception 'there is no operation %', number using errcode = 'no_data_found';
    end if;
    raise exception 'operation % is %, not %', number, state, needed using errcode = 'object_not_in_prerequisite_state';
end
$$;

-- Other data for a letter: its next redrive hands this to the handler. What came stays beside it.
create function outbox.edit_dead_letter(number bigint, data json, reason text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    letter outbox.dead_letter;
begin
    perform outbox.refuse_without_reason(reason);
    select * into letter from outbox.dead_letter d where d.number = edit_dead_letter.number for no key update;
    if not found then
        raise exception 'there is no dead letter %', number using errcode = 'no_data_found';
    elsif letter.state <> 'dead' then
        raise exception 'dead letter % is %, not dead', number, letter.state using errcode = 'object_not_in_prerequisite_state';
    elsif letter.id is null then
        raise exception 'dead letter % is no event, so it has no data to edit', number using errcode = 'object_not_in_prerequisite_state';
    elsif data is null or octet_length(data::text) > 16777216 then
        raise exception 'data: must be JSON of at most 16 MiB' using errcode = 'invalid_parameter_value';
    end if;
    update outbox.dead_letter d
    set edited_fields = outbox.with_data(letter.entry_fields, data), edited_at = clock_timestamp(), edited_by = session_user, changed_at = clock_timestamp()
    where d.number = letter.number;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('edit', letter.consumer, jsonb_build_object('letter', letter.number, 'event', letter.id), reason);
end
$$;

-- The fields of an entry with other data, in either mode. Everything else stays byte for byte, but a media type that is
-- not JSON, which would no longer be true.
create function outbox.with_data(entry_fields bytea[], data json) returns bytea[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
    with field as (
        select n, entry_fields[n] as name, entry_fields[n + 1] as value,
               exists (select from generate_series(1, cardinality(entry_fields) - 1, 2) m where entry_fields[m] = 'event') as is_structured
        from generate_series(1, cardinality(entry_fields) - 1, 2) n
    ), kept as (
        select n, name,
               case when not is_structured then value
                    when name = 'event' then convert_to((
                        select '{' || string_agg(to_json(member.key)::text || ':' || member.value::text, ',' order by member.place) || ',"data":' || data::text || '}'
                        from json_each(convert_from(value, 'UTF8')::json) with ordinality member (key, value, place)
                        where member.key not in ('data', 'data_base64')
                          and (member.key <> 'datacontenttype' or member.value #>> '{}' ~* '^[^;]*[/+]json *(;|$)')), 'UTF8')
                    else value end as value
        from field
        where is_structured or name <> 'data' and (name <> 'content-type' or convert_from(value, 'UTF8') ~* '^[^;]*[/+]json *(;|$)')
    ), whole as (
        select n, name, value from kept
        union all
        select cardinality(entry_fields) + 1, 'data', convert_to(data::text, 'UTF8') from field where not is_structured group by is_structured
    )
    select array_agg(part.value order by whole.n, part.place)
    from whole cross join lateral (values (1, whole.name), (2, whole.value)) part (place, value)
$$;

-- Gives letters of one consumer up for good, and lets what waits behind them go on. Returns how many. The rows stay.
create function outbox.discard_dead_letters(filter jsonb, reason text, all_of_them boolean default false) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
declare
    letter record;
    line outbox.parked_lane;
    holder bigint;
    consumers text[];
    discarded bigint[] := '{}';
begin
    perform outbox.refuse_without_reason(reason);
    perform outbox.refuse_everything(filter, all_of_them);
    consumers := array(
        select distinct d.consumer
        from outbox.select_dead_letters(filter) chosen (number) join outbox.dead_letter d on d.number = chosen.number
        order by 1);
    perform outbox.refuse_several(consumers);
    -- First the lane, then the letter, as the transactions that apply do it.
    for letter in
        select d.number, d.consumer, d.flow, d.lane, d.place
        from outbox.select_dead_letters(filter) chosen (number) join outbox.dead_letter d on d.number = chosen.number
        where d.consumer = consumers[1]
        order by d.flow, d.lane, d.place, d.number
    loop
        select * into line from outbox.parked_lane l
        where (l.consumer, l.flow, l.lane) = (letter.consumer, letter.flow, letter.lane) for update;
        holder := (select held.dead_letter from outbox.held_lane held
                   where (held.consumer, held.flow, held.lane) = (letter.consumer, letter.flow, letter.lane));
        update outbox.dead_letter d set state = 'discarded', changed_at = clock_timestamp()
        where d.number = letter.number and d.state = 'dead';
        continue when not found;
        discarded := discarded || letter.number;
        if holder = letter.number then
            perform outbox.let_lane_go_on(line, true, null);
        end if;
    end loop;
    if discarded = '{}' then
        raise exception 'no dead letter matches' using errcode = 'no_data_found';
    end if;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    select 'discard', d.consumer, jsonb_build_object('filter', filter, 'letters', count(*), 'first', min(d.number), 'last', max(d.number)), reason
    from outbox.dead_letter d where d.number = any (discarded) group by d.consumer;
    return cardinality(discarded);
end
$$;

do $$
declare
    made text;
begin
    foreach made in array array['consumers', 'consumer_partitions', 'parked_keys', 'retries', 'dead_letter_groups', 'operations', 'audit'] loop
        execute format('alter view outbox_ops.%I owner to outbox_maintainer', made);
        execute format('grant select on outbox_ops.%I to outbox_consumer, outbox_observer, outbox_operator', made);
    end loop;
    foreach made in array array[
        'refuse_transition', 'keep_entry', 'may_see_keys', 'dead_letter_predicate', 'select_dead_letters', 'redrivable', 'preview_redrive',
        'refuse_without_reason', 'takes_everything', 'refuse_everything', 'refuse_several', 'redrive', 'put_back', 'let_lane_go_on', 'outcome_of', 'remember_dead',
        'release_redrive_items', 'cancel_operation', 'resume_operation', 'refuse_operation', 'edit_dead_letter', 'with_data',
        'discard_dead_letters'
    ] loop
        execute format('alter function outbox.%I owner to outbox_maintainer', made);
        execute format('revoke execute on function outbox.%I from public', made);
    end loop;
end
$$;
grant select on outbox_ops.inbox, outbox_ops.inbox_days, outbox_ops.dead_letters to outbox_operator;
grant execute on function outbox.inbox_days to outbox_operator;
grant select on outbox.dead_letter to outbox_operator;
grant execute on function outbox.may_see_keys, outbox.dead_letter_predicate, outbox.select_dead_letters
    to outbox_consumer, outbox_observer, outbox_operator;
grant execute on function outbox.preview_redrive, outbox.takes_everything, outbox.redrive, outbox.cancel_operation, outbox.resume_operation,
    outbox.edit_dead_letter, outbox.discard_dead_letters to outbox_operator;
grant execute on function outbox.release_redrive_items to outbox_consumer;
