-- What is published is told by transaction ids and progress. Where these may be of another history, or where somebody needs the rows still,
-- nothing of a topic is moved or removed.

-- What of the ledger cannot be trusted now: as a relay that refuses says it. Null: nothing. A relay also compares the sink, which cannot be
-- done from here: on a server that was restored or promoted, one must have led since.
create function outbox.history_refusal() returns text
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
    present outbox.era;
    last outbox.batch;
    system_now bigint;
    timeline_now integer;
    refused record;
    begun record;
    late record;
begin
    select e.* into present from outbox.era e order by e.era desc limit 1;
    select b.* into last from outbox.batch b order by b.number desc limit 1;
    select s.system_identifier into system_now from pg_catalog.pg_control_system() s;
    timeline_now := ('x' || substring(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer;
    select r.number, r.strategy into begun from outbox.recovery r where r.state in ('begun', 'opened') order by r.number limit 1;
    if found then
        return format('RECOVERY-UNFINISHED: recovery %s (%s) was begun and is not finished', begun.number, begun.strategy);
    end if;
    select r.code, r.said into refused from outbox.refusal r where r.closed_at is null order by r.number limit 1;
    if found then
        return format('%s: %s', refused.code, refused.said);
    elsif system_now <> present.system_identifier then
        return format('POSTGRES-MOVED: the ledger was written on server %s, this is server %s', present.system_identifier, system_now);
    elsif pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax(last.snapshot) then
        return format('POSTGRES-WENT-BACK: the last batch has seen transactions up to %s, this server is at %s',
                      pg_snapshot_xmax(last.snapshot), pg_snapshot_xmax(pg_current_snapshot()));
    elsif timeline_now <> present.timeline
          and not exists (select from outbox.timeline t where t.era = present.era and t.timeline = timeline_now) then
        return format('POSTGRES-WENT-BACK: this server is on timeline %s, and no relay has led on it: it was restored or promoted, and whether everything published is known here nobody has looked', timeline_now);
    end if;
    -- An event that no batch has and none will have: see tail/find_passed_over.sql.
    with recent as materialized (
        select b.number, b.kind, b.snapshot, b.last_position
        from outbox.batch b where b.number >= present.batch_number order by b.number desc limit 1000
    ), ends as materialized (
        select (select r.snapshot from recent r order by r.number limit 1) as first,
               greatest((select max(r.last_position) from recent r where r.kind = 'cut'), present.position_floor) as through
    )
    select newest.position, newest.transaction_id into late
    from ends
    cross join lateral (
        select l.position, l.transaction_id from outbox.log l
        where l.transaction_id < pg_snapshot_xmax(last.snapshot)
        order by l.transaction_id desc, l.position desc limit 2000
    ) newest
    where newest.position > ends.through
      and pg_visible_in_snapshot(newest.transaction_id, last.snapshot) and not pg_visible_in_snapshot(newest.transaction_id, ends.first)
    order by newest.position limit 1;
    if found then
        return format('POSTGRES-WENT-BACK: the event at position %s is of transaction %s, which the last batch took for seen, and no batch has it',
                      late.position, late.transaction_id);
    end if;
    return null;
end
$$;

-- Who needs what was published on a topic still: a stream that lost entries or waits for a person, a group that misses some, and who
-- asked to have it put out again. Null: nobody. What is being put out again is told by its progress.
create function outbox.need_of(topics text[]) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select need.what
    from (
        select 1 as place, format('topic %s partition %s is %s (%s): see outbox_ops.topics', s.topic, greatest(s.partition - 1, 0), latest.action, latest.reason) as what
        from outbox.topic_stream s
        cross join lateral (select a.action, a.reason from outbox.stream_action a
                            where a.topic = s.topic and a.partition = s.partition order by a.number desc limit 1) latest
        where s.topic = any(topics) and latest.action in ('lost', 'set_aside', 'blocked')
        union all
        select 2, format('group %s misses entry %s of stream %s: see outbox_ops.holes', h.group_name, h.missing, h.stream)
        from outbox.hole h where h.topic = any(topics)
        union all
        select 3, format('%s asked to have topic %s put out again from %s-%s on (order %s), and no relay has answered: see outbox_ops.reissue_orders',
                         o.actor, o.topic, o.from_batch_id, o.from_position, o.number)
        from outbox.reissue_order o where o.topic = any(topics) and o.state = 'waiting' and not o.is_preview
    ) need
    order by need.place, need.what limit 1
$$;

-- As before, where what it goes by is to be trusted, and nobody needs the rows.
create or replace function outbox.refuse_unpublished(stream_name text, stream bigint, first bigint, last bigint) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    topics text[];
    refused text;
    waits record;
begin
    select array_agg(distinct l.topic) into topics
    from outbox.log l
    where l.retention in ('stream', 'archive') and l.stream = refuse_unpublished.stream and l.version between first and last and l.topic is not null;
    -- What goes nowhere waits for nobody.
    if topics is null then
        return;
    end if;
    refused := outbox.history_refusal();
    if refused is not null then
        raise exception 'stream % keeps its events: %', stream_name, refused
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'What is published cannot be told. See outbox-relay recover inspect, let a relay lead, or finish the recovery; then again.';
    end if;
    refused := outbox.need_of(topics);
    if refused is not null then
        raise exception 'stream % keeps its events: %', stream_name, refused
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'They may be needed to put the topic out again. Wait until that is done, or decide it; then again.';
    end if;
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

do $$
declare
    function regprocedure;
begin
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('history_refusal', 'need_of', 'refuse_unpublished') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
