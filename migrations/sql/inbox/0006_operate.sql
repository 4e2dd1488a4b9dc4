-- What operators do to consumers: pause and resume, take a stream away from a member that is stuck, and let a group read
-- again from an earlier place. Each change leaves a row in outbox.consumer_audit, with who and why.

create function outbox.require_consumer(consumer text, reason text) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if coalesce(reason, '') = '' then
        raise exception 'a reason must be given: it is kept in outbox.consumer_audit' using errcode = 'invalid_parameter_value';
    end if;
    if not exists (select from outbox.consumer c where c.name = require_consumer.consumer) then
        raise exception 'there is no consumer % in this database', consumer
            using errcode = 'no_data_found',
                  hint = format('Known are: %s.', coalesce((select string_agg(c.name, ', ' order by c.name) from outbox.consumer c), 'none'));
    end if;
end
$$;

-- Nothing new of the consumer is applied until it is resumed. What is in hand is finished.
create function outbox.pause_consumer(consumer text, reason text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform outbox.require_consumer(consumer, reason);
    update outbox.consumer c
    set paused_at = coalesce(c.paused_at, clock_timestamp()), paused_by = session_user, paused_reason = pause_consumer.reason
    where c.name = pause_consumer.consumer;
    insert into outbox.consumer_audit (action, consumer, reason) values ('pause', consumer, reason);
end
$$;

-- Lets a paused consumer go on. Returns since when it was paused.
create function outbox.resume_consumer(consumer text, reason text) returns timestamptz
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    since timestamptz;
begin
    perform outbox.require_consumer(consumer, reason);
    select c.paused_at into since from outbox.consumer c where c.name = resume_consumer.consumer for update;
    if since is null then
        raise exception 'consumer % is not paused', consumer using errcode = 'invalid_parameter_value';
    end if;
    update outbox.consumer c set paused_at = null, paused_by = null, paused_reason = null where c.name = resume_consumer.consumer;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('resume', consumer, jsonb_build_object('paused since', since), reason);
    return since;
end
$$;

-- Takes a stream away from the member that holds it: whichever member asks next gets it, and what the former one still tries
-- to commit is fenced by the epoch. Returns the former holder.
create function outbox.claim_stream(consumer text, stream text, reason text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
declare
    former record;
begin
    perform outbox.require_consumer(consumer, reason);
    select l.holder, l.epoch, l.expires_at > clock_timestamp() as is_held into former
    from outbox.consumer_lease l
    where l.consumer = claim_stream.consumer and l.stream = claim_stream.stream
    for no key update;
    if not found then
        raise exception 'consumer % has no stream %', consumer, stream
            using errcode = 'no_data_found', hint = 'outbox-relay consumer show names its streams.';
    end if;
    if former.holder is null or not former.is_held then
        raise exception 'nobody holds stream % of consumer %: the next member that looks takes it', stream, consumer
            using errcode = 'invalid_parameter_value';
    end if;
    update outbox.consumer_lease l
    set epoch = l.epoch + 1, holder = null, expires_at = '-infinity'
    where l.consumer = claim_stream.consumer and l.stream = claim_stream.stream;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('claim', consumer, jsonb_build_object('stream', stream, 'holder', former.holder, 'epoch', former.epoch), reason);
    return former.holder;
end
$$;

-- A consumer group that will not come back: days of the inbox are no longer kept for it. What of it still waits (open dead letters,
-- parked events) would be given up by that, which must be said. How far it came stays known: if it does come back it goes on there,
-- says again what it needs, and what was forgotten meanwhile is too old for it. Returns how many events were given up.
create function outbox.forget_consumer(consumer text, reason text, give_up boolean default false) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
declare
    alive text;
    letters bigint;
    waiting bigint;
    marks bigint;
begin
    perform outbox.require_consumer(consumer, reason);
    perform from outbox.consumer c where c.name = forget_consumer.consumer for update;
    alive := coalesce(
        (select m.member from outbox.consumer_member m
         where m.consumer = forget_consumer.consumer and m.seen_at > clock_timestamp() - interval '1 minute' order by m.seen_at desc limit 1),
        (select l.holder from outbox.consumer_lease l
         where l.consumer = forget_consumer.consumer and l.holder is not null and l.expires_at > clock_timestamp() limit 1));
    if alive is not null then
        raise exception 'consumer % is not gone: member % was seen within the last minute', consumer, alive
            using errcode = 'invalid_parameter_value', hint = 'Stop its members first.';
    end if;
    select count(*) into letters from outbox.dead_letter d
    where d.consumer = forget_consumer.consumer and d.state in ('dead', 'redriving');
    -- A letter that goes back waits as an event and is counted once.
    select count(*) into waiting from outbox.parked_event e where e.consumer = forget_consumer.consumer and e.dead_letter is null;
    if letters + waiting > 0 and not give_up then
        raise exception 'of consumer % % open dead letters and % parked events still wait', consumer, letters, waiting
            using errcode = 'invalid_parameter_value', hint = 'With give_up => true they are given up for good.';
    end if;
    if letters + waiting > 0 then
        perform outbox.give_up_waiting(consumer);
    end if;
    delete from outbox.stream_mark m where m.consumer = forget_consumer.consumer;
    get diagnostics marks = row_count;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('forget', consumer, jsonb_build_object('streams', marks, 'dead letters', letters, 'parked events', waiting), reason);
    return letters + waiting;
end
$$;

-- Everything of a consumer that waits is given up: letters are discarded and stay as rows, what is parked is removed. No member runs.
create function outbox.give_up_waiting(consumer text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    update outbox.operation o set state = 'cancelled' where o.consumer = give_up_waiting.consumer and o.state = 'running';
    update outbox.operation_item i
    set state = case i.state when 'waiting' then 'dropped' else 'dead' end, changed_at = clock_timestamp()
    from outbox.operation o
    where o.number = i.operation and o.consumer = give_up_waiting.consumer and i.state in ('waiting', 'released');
    -- First the lanes, then the letters, as the transactions that apply do it.
    perform from outbox.parked_lane l where l.consumer = give_up_waiting.consumer order by l.flow, l.lane for update;
    update outbox.inbox i set outcome = 'dead'
    from outbox.parked_event e
    where e.consumer = give_up_waiting.consumer
      and (i.consumer, i.source, i.id, i.recorded_at) = (e.consumer, e.source, e.id, e.recorded_at) and i.outcome = 'parked';
    update outbox.inbox_foreign i set outcome = 'dead'
    from outbox.parked_event e
    where e.consumer = give_up_waiting.consumer
      and (i.consumer, i.source, i.id) = (e.consumer, e.source, e.id) and i.outcome = 'parked';
    delete from outbox.parked_event e where e.consumer = give_up_waiting.consumer;
    delete from outbox.parked_lane l where l.consumer = give_up_waiting.consumer;
    update outbox.dead_letter d set state = 'dead', changed_at = clock_timestamp()
    where d.consumer = give_up_waiting.consumer and d.state = 'redriving';
    update outbox.dead_letter d set state = 'discarded', changed_at = clock_timestamp()
    where d.consumer = give_up_waiting.consumer and d.state = 'dead';
end
$$;

-- Reading again from an earlier place. Up to the replayed entry what comes again is meant to have its effect again: it is not
-- too old, however old it is.
alter table outbox.consumer_stream
    add column replayed_batch numeric(20) check (replayed_batch >= 0),
    add column replayed_position numeric(20) check (replayed_position >= 0),
    add constraint consumer_stream_replayed_check check ((replayed_batch is null) = (replayed_position is null));
-- Where the group finds what the stream no longer has. Only what is named here counts: beside it may lie what a seek that died
-- left behind.
alter table outbox.consumer_stream add column prelude text;
-- How often a group was set back: what a member concluded from what was passed holds for as long as this does not rise.
alter table outbox.consumer add column seeks bigint not null default 0 check (seeks >= 0);

-- Whether an entry id `<batch>-<position>` lies behind another one.
create function outbox.entry_is_after(entry text, batch numeric, "position" numeric) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select (split_part(entry, '-', 1)::numeric, split_part(entry, '-', 2)::numeric) > (batch, "position")
$$;

-- What a person should know before a seek: whether the group is known here, up to when it forgot ids, and how many of its
-- keys wait in these streams.
create function outbox.preview_seek(consumer text, streams text[], out is_known boolean, out forgotten_until timestamptz, out parked_keys bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select count(*) > 0, max(c.forgotten_until),
           (select count(*) from outbox.parked_lane l where l.consumer = preview_seek.consumer and l.stream = any(preview_seek.streams))
    from outbox.consumer c where c.name = preview_seek.consumer
$$;

-- The entry under which an event of these streams was finished first.
create function outbox.find_finished(consumer text, streams text[], id text) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select i.entry_id from outbox.inbox i
    where i.consumer = find_finished.consumer and i.id = find_finished.id and i.stream = any(find_finished.streams)
    order by split_part(i.entry_id, '-', 1)::numeric, split_part(i.entry_id, '-', 2)::numeric
    limit 1
$$;

-- How many events of these streams behind an entry are finished, and so have no effect when they come again. Walks over the
-- whole inbox.
create function outbox.count_finished(consumer text, streams text[], after_batch numeric, after_position numeric) returns bigint
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select count(*) from (
        select i.entry_id from outbox.inbox i where i.consumer = count_finished.consumer and i.stream = any(count_finished.streams)
        union all
        select f.entry_id from outbox.inbox_foreign f where f.consumer = count_finished.consumer and f.stream = any(count_finished.streams)
    ) finished
    where outbox.entry_is_after(finished.entry_id, count_finished.after_batch, count_finished.after_position)
$$;

-- The tables of the inbox, with their pages: what forgetting walks over.
create function outbox.inbox_tables() returns table (name text, pages bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select c.relname::text, pg_relation_size(c.oid) / current_setting('block_size')::bigint
    from pg_class c
    where c.oid = 'outbox.inbox_foreign'::regclass or c.oid in (select inhrelid from pg_inherits where inhparent = 'outbox.inbox'::regclass)
    order by c.relname
$$;

-- Takes the lease of a stream for a seek, from whoever has it. It waits for nobody: an update of what is no key goes beside the
-- locks of what is being applied, and once it is committed nothing new is applied under the former epoch, so that no chain of
-- overlapping transactions keeps the seek away. What is under way is waited for by outbox.drain_seized. The group need not be
-- known yet.
create function outbox.seize_stream(consumer text, stream text, holder text, lease interval, reason text) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
declare
    former record;
begin
    if coalesce(reason, '') = '' then
        raise exception 'a reason must be given: it is kept in outbox.consumer_audit' using errcode = 'invalid_parameter_value';
    elsif holder is null or not holder ^@ 'seek ' then
        raise exception 'a seek holds a stream under a name of its own, as: seek 0199a0; got %', left(holder, 100) using errcode = 'invalid_parameter_value';
    end if;
    insert into outbox.consumer (name) values (seize_stream.consumer) on conflict do nothing;
    insert into outbox.consumer_lease (consumer, stream) values (seize_stream.consumer, seize_stream.stream) on conflict do nothing;
    select l.* into former from outbox.consumer_lease l
    where l.consumer = seize_stream.consumer and l.stream = seize_stream.stream for no key update;
    if former.holder like 'seek %' and former.expires_at > clock_timestamp() then
        raise exception '% is at work on stream % of consumer %', former.holder, stream, consumer
            using errcode = 'object_in_use', hint = 'Wait until it is done. If it crashed, its lease ends within seconds.';
    end if;
    update outbox.consumer_lease l
    set epoch = l.epoch + 1, holder = seize_stream.holder, acquired_at = clock_timestamp(), expires_at = clock_timestamp() + seize_stream.lease
    where l.consumer = seize_stream.consumer and l.stream = seize_stream.stream;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('seek begun', consumer, jsonb_build_object('stream', stream, 'epoch', former.epoch + 1, 'former holder', former.holder), reason);
    return former.epoch + 1;
end
$$;

-- Waits for what is being applied under an epoch from before a stream was seized, and answers how far the group came with it:
-- until the lease is given back or ends no member applies the stream. In a transaction of its own, after the seizing is committed.
create function outbox.drain_seized(consumer text, stream text, epoch bigint, out passed_batch numeric, out passed_position numeric)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform from outbox.consumer_lease l where l.consumer = drain_seized.consumer and l.stream = drain_seized.stream for update;
    perform outbox.require_seized(consumer, array[stream], array[epoch]);
    select p.passed_batch, p.passed_position into drain_seized.passed_batch, drain_seized.passed_position
    from outbox.consumer_stream p where p.consumer = drain_seized.consumer and p.stream = drain_seized.stream;
end
$$;

-- Whether each of these streams is still seized by a seek under its epoch; holds them against a takeover until the transaction
-- ends. What a member holds is no seek's, whoever knows its epoch: seizing is what the audit tells of.
create function outbox.require_seized(consumer text, streams text[], epochs bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    lost text;
begin
    perform from outbox.consumer_lease l
    join unnest(streams, epochs) given (stream, epoch) on given.stream = l.stream and given.epoch = l.epoch
    where l.consumer = require_seized.consumer and l.holder ^@ 'seek ' and l.expires_at > clock_timestamp()
    order by l.stream
    for key share of l;
    select given.stream into lost
    from unnest(streams, epochs) given (stream, epoch)
    where not exists (select from outbox.consumer_lease l
                      where l.consumer = require_seized.consumer and l.stream = given.stream and l.epoch = given.epoch
                        and l.holder ^@ 'seek ' and l.expires_at > clock_timestamp())
    limit 1;
    if lost is not null then
        raise exception 'stream % is not seized, or its lease ran out in the middle of the seek: a member may apply it', lost
            using errcode = 'object_not_in_prerequisite_state', hint = 'Run the same seek again.';
    end if;
end
$$;

create function outbox.keep_seized(consumer text, streams text[], epochs bigint[], lease interval) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5s' as $$
begin
    perform outbox.require_seized(consumer, streams, epochs);
    update outbox.consumer_lease l
    set expires_at = clock_timestamp() + keep_seized.lease
    from unnest(streams, epochs) given (stream, epoch)
    where l.consumer = keep_seized.consumer and l.stream = given.stream and l.epoch = given.epoch;
end
$$;

-- Gives seized streams back without having moved them.
create function outbox.release_seized(consumer text, streams text[], epochs bigint[]) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    update outbox.consumer_lease l
    set holder = null, expires_at = '-infinity'
    from unnest(streams, epochs) given (stream, epoch)
    where l.consumer = release_seized.consumer and l.stream = given.stream and l.epoch = given.epoch and l.holder ^@ 'seek '
$$;

-- Forgets that events of seized streams behind an entry had their effect, so that they have it again. In one stretch of pages
-- of one table of the inbox, as the caller walks over it. What waits stays: what is parked, and what is a dead letter that is open.
-- Where such an event stands for an identity, that is forgotten too: one from before it would be taken for its repetition.
-- Returns how many ids were forgotten.
create function outbox.forget_events(consumer text, streams text[], epochs bigint[], after_batch numeric, after_position numeric,
                                     name text, first_page bigint, pages bigint) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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
    return forgotten;
end
$$;

-- Sets a seized stream back (or forward) to an entry, and gives it to the members: at once, or, with the inbox to be forgotten,
-- when that is done. That comes after this, so that whatever is forgotten is also read again, even if the forgetting is cut
-- short. The one way by which what was passed falls.
-- `replayed`: with the inbox forgotten, the entry up to which effects happen again; null otherwise. `prelude`: where the group
-- finds what the stream no longer has; null if it has all. What an earlier one named is read by nobody any more.
create function outbox.seek_stream(consumer text, stream text, epoch bigint, passed_batch numeric, passed_position numeric,
                                   replayed_batch numeric, replayed_position numeric, prelude text, reason text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    former record;
begin
    perform outbox.require_consumer(consumer, reason);
    perform outbox.require_seized(consumer, array[stream], array[epoch]);
    delete from outbox.consumer_stream p
    where p.consumer = seek_stream.consumer and p.stream = seek_stream.stream
    returning p.passed_batch as batch, p.passed_position as "position", p.replayed_batch as again_batch, p.replayed_position as again_position
    into former;
    insert into outbox.consumer_stream (consumer, stream, passed_batch, passed_position, replayed_batch, replayed_position, prelude)
    select seek_stream.consumer, seek_stream.stream, seek_stream.passed_batch, seek_stream.passed_position, again.batch, again."position",
           seek_stream.prelude
    from (
        select given.batch, given."position"
        from (values (seek_stream.replayed_batch, seek_stream.replayed_position), (former.again_batch, former.again_position)) given (batch, "position")
        order by given.batch desc nulls last, given."position" desc
        limit 1
    ) again;
    update outbox.consumer c set seeks = c.seeks + 1 where c.name = seek_stream.consumer;
    if seek_stream.replayed_batch is null then
        perform outbox.release_seized(consumer, array[stream], array[epoch]);
    end if;
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('seek', consumer,
            jsonb_build_object('stream', stream, 'from', format('%s-%s', coalesce(former.batch, 0), coalesce(former."position", 0)),
                               'to', format('%s-%s', passed_batch, passed_position), 'inbox forgotten', replayed_batch is not null),
            reason);
end
$$;

do $$
declare
    object text;
begin
    foreach object in array array['require_consumer', 'pause_consumer', 'resume_consumer', 'claim_stream', 'forget_consumer', 'give_up_waiting', 'preview_seek', 'find_finished', 'count_finished',
                                  'inbox_tables', 'seize_stream', 'drain_seized', 'require_seized',
                                  'keep_seized', 'release_seized', 'entry_is_after', 'forget_events', 'seek_stream'] loop
        execute format('alter function outbox.%I owner to outbox_maintainer', object);
        execute format('revoke execute on function outbox.%I from public', object);
    end loop;
end
$$;
grant execute on function outbox.pause_consumer, outbox.resume_consumer, outbox.claim_stream, outbox.forget_consumer, outbox.preview_seek,
    outbox.find_finished, outbox.count_finished, outbox.inbox_tables, outbox.seize_stream, outbox.drain_seized, outbox.keep_seized,
    outbox.release_seized, outbox.forget_events, outbox.seek_stream to outbox_operator;
