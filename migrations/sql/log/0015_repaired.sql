-- Repairs that know of eras: an entry is found whatever era it is of, and what a recovery left on a stream is told from what no ledger knew.

-- Behind which entry of a stream an era goes on: kept where it stays. The progress that said so goes with its piece, after a day, and what
-- the era passed over stands nowhere else.
create table outbox.era_start (
    batch_number bigint not null,
    topic text not null,
    partition integer not null,
    -- The first of what the era began with on this stream; 0: nothing.
    first_position bigint not null,
    kept_batch_id bigint not null,
    kept_position bigint not null,
    primary key (topic, partition, batch_number)
);
comment on table outbox.era_start is 'Behind which entry each stream went on with an era, where that was not the end of what its ledger had put there. Append-only.';
comment on column outbox.era_start.partition is '0: the stream without a number; n + 1: partition n.';
create trigger append_only before update or delete on outbox.era_start for each row execute function outbox.refuse_change();

-- When the transaction that opened an era ends, the progress is there that it goes on with.
create function outbox.keep_era_starts() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into outbox.era_start (batch_number, topic, partition, first_position, kept_batch_id, kept_position)
    select new.batch_number, stream.topic, stream.partition, coalesce(share.first_position, 0), opened.chain_batch_id, opened.chain_position
    from outbox.topic_stream stream
    cross join lateral (
        select p.chain_batch_id, p.chain_position from outbox.progress p
        where p.topic = stream.topic and p.partition = stream.partition and p.batch_number = new.batch_number
        order by p.position, p.number
        limit 1
    ) opened
    left join outbox.share share on share.topic = stream.topic and share.partition = stream.partition and share.batch_number = new.batch_number
    where opened.chain_batch_id < new.batch_id;
    return null;
end
$$;
create constraint trigger keep_era_starts after insert on outbox.era deferrable initially deferred
    for each row when (new.batch_number > 0) execute function outbox.keep_era_starts();

-- Of the eras before. Where the progress is gone already, what the recovery had found tells: it went on behind the last entry that the
-- ledger knew, or with trust-stream behind the last one there was.
insert into outbox.era_start (batch_number, topic, partition, first_position, kept_batch_id, kept_position)
select e.batch_number, stream.topic, stream.partition, coalesce(share.first_position, 0),
       coalesce(opened.chain_batch_id, split_part(told.kept, '-', 1)::bigint), coalesce(opened.chain_position, split_part(told.kept, '-', 2)::bigint)
from outbox.era e
cross join outbox.topic_stream stream
left join lateral (
    select p.chain_batch_id, p.chain_position from outbox.progress p
    where p.topic = stream.topic and p.partition = stream.partition and p.batch_number = e.batch_number and p.chain_batch_id < e.batch_id
    order by p.position, p.number
    limit 1
) opened on true
left join outbox.share share on share.topic = stream.topic and share.partition = stream.partition and share.batch_number = e.batch_number
left join lateral (
    select coalesce(case r.strategy when 'trust-stream' then seen.last else seen.known end, seen.recorded, '0-0') as kept
    from outbox.recovery r
    cross join lateral jsonb_to_recordset(r.found -> 'streams') seen (stream text, mark jsonb, known text, last text, recorded text, generated text, unknown jsonb)
    where opened.chain_batch_id is null and r.era = e.era and seen.stream = stream.name
      and coalesce(seen.mark ->> 'is', '') not in ('foreign', 'unreadable')
      and ((seen.unknown ->> 'count')::bigint > 0 or seen.mark ->> 'is' = 'unknown'
           or split_part(seen.generated, '-', 1)::numeric > (r.found ->> 'ledger_batch_id')::numeric
           -- Everything was put out again.
           or exists (select from outbox.era_share s where s.batch_number = e.batch_number and s.topic = stream.topic
                        and s.partition = stream.partition and s.passed_positions = '{0}'))
    limit 1
) told on true
where e.batch_number > 0 and (opened.chain_batch_id is not null or told.kept ~ '^[0-9]{1,18}-[0-9]{1,18}$');

-- As before; and where a re-issue goes back beyond the era in which it was cut, transaction ids do not tell its older rows.
create or replace function outbox.behind_entry(topic text, partition integer, batch_id bigint, "position" bigint, cut_through bigint,
                                               out passed_snapshots pg_snapshot[], out passed_positions bigint[])
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    all_of_it constant pg_snapshot := '9223372036854775807:9223372036854775807:';
    kept outbox.batch;
    again outbox.reissue;
    base pg_snapshot;
    base_era integer;
    own_floor bigint;
    era_floor bigint;
    era_end bigint;
begin
    if behind_entry.batch_id = 0 then
        passed_snapshots := array[all_of_it];
        passed_positions := array[0];
        return;
    end if;
    select b.* into kept from outbox.batch b where b.batch_id = behind_entry.batch_id;
    if kept.number is null then
        return;
    end if;
    if kept.kind = 'era' then
        select s.passed_snapshots || all_of_it, s.passed_positions || behind_entry.position into passed_snapshots, passed_positions
        from outbox.era_share s
        where s.batch_number = kept.number and s.topic = behind_entry.topic and s.partition = behind_entry.partition;
        return;
    end if;
    select r.* into again from outbox.reissue r
    where r.batch_number = kept.number and r.topic = behind_entry.topic and r.partition = behind_entry.partition;
    if again.batch_number is not null then
        base := again.base;
        select b.era into base_era from outbox.batch b where b.number = again.base_number;
    else
        select b.snapshot, kept.era into base, base_era from outbox.batch b where b.number = kept.number - 1;
    end if;
    select e.position_floor into era_floor from outbox.era e where e.era = coalesce(base_era, kept.era);
    select e.cut_through into era_end from outbox.era e where e.era = coalesce(base_era, kept.era) + 1;
    passed_snapshots := array[all_of_it, coalesce(base, '3:3:')];
    passed_positions := array[era_floor, coalesce(era_end, behind_entry.cut_through)];
    if again.batch_number is not null then
        -- One that goes back beyond its era is told by what it passed alone.
        if again.base::text = '3:3:' then
            passed_snapshots := '{}';
            passed_positions := '{}';
        end if;
        select e.position_floor into own_floor from outbox.era e where e.era = kept.era;
        passed_snapshots := passed_snapshots || again.passed_snapshots || all_of_it;
        passed_positions := passed_positions || again.passed_positions || least(behind_entry.position, own_floor);
    end if;
    passed_snapshots := passed_snapshots || kept.snapshot;
    passed_positions := passed_positions || behind_entry.position;
end
$$;

-- Where an entry of a stream stands in the ledger, and how the rows behind it are told: not visible in `base`; and of what is visible
-- in a snapshot of `passed_snapshots`, only what is above the position beside it. The last of these is of the entry's own batch, of a
-- re-issue the last two. 0-0 stands before the first. No number: the ledger has no such entry.
-- Of the present era, transaction ids tell it. Where an era began since, the rows of the stream are gone through by position: the ids
-- may be of two servers. An entry that was on the stream when an era began, and that a person left there, stands before that era's share.
create function outbox.locate_entry(topic text, partition integer, batch_id bigint, "position" bigint, out number bigint, out base pg_snapshot,
                                    out base_number bigint, out passed_snapshots pg_snapshot[], out passed_positions bigint[], out accepted_in integer)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    all_of_it constant pg_snapshot := '9223372036854775807:9223372036854775807:';
    present outbox.era;
    opened outbox.era;
    kept outbox.batch;
    before outbox.batch;
    again outbox.reissue;
    base_era integer;
begin
    select e.* into present from outbox.era e order by e.era desc limit 1;
    select b.* into kept from outbox.batch b
    where b.batch_id = locate_entry.batch_id
      and (b.number = 0
           or exists (select from outbox.share s
                      where s.topic = locate_entry.topic and s.partition = locate_entry.partition and s.batch_number = b.number
                        and locate_entry.position between s.first_position and s.last_position));
    if kept.number is null then
        select e.* into opened from outbox.era e where e.batch_number > 0 and e.batch_id > locate_entry.batch_id order by e.era limit 1;
        if opened.era is null
           or locate_entry.batch_id < (select o.batch_id from outbox.batch o order by o.number limit 1)
           or not exists (select from outbox.recovery r where r.era = opened.era and r.strategy = 'trust-stream')
           or not exists (select from outbox.era_start k
                          where k.batch_number = opened.batch_number and k.topic = locate_entry.topic and k.partition = locate_entry.partition
                            and (k.kept_batch_id, k.kept_position) >= (locate_entry.batch_id, locate_entry.position)) then
            return;
        end if;
        accepted_in := opened.era;
        number := opened.batch_number;
        base := '3:3:';
        base_number := 0;
        select s.passed_snapshots || all_of_it, s.passed_positions || 0::bigint into passed_snapshots, passed_positions
        from outbox.era_share s
        where s.batch_number = opened.batch_number and s.topic = locate_entry.topic and s.partition = locate_entry.partition;
        if passed_snapshots is null then
            passed_snapshots := array[all_of_it];
            passed_positions := array[opened.position_floor];
        end if;
        return;
    end if;

    select r.* into again from outbox.reissue r
    where r.batch_number = kept.number and r.topic = locate_entry.topic and r.partition = locate_entry.partition;
    select b.* into before from outbox.batch b where b.number = greatest(kept.number - 1, 0);
    if again.batch_number is null and before.number is null then
        -- What the entry's own batch has is not known: the piece of the ledger before it is gone.
        return;
    end if;
    base_era := coalesce((select b.era from outbox.batch b where b.number = again.base_number), kept.era);
    number := kept.number;
    if present.era > 1 and (kept.kind = 'era' or base_era < present.era or again.base::text = '3:3:') then
        base := '3:3:';
        base_number := 0;
        select told.passed_snapshots, told.passed_positions into passed_snapshots, passed_positions
        from outbox.behind_entry(locate_entry.topic, locate_entry.partition, locate_entry.batch_id, locate_entry.position, 9223372036854775807) told;
        if passed_snapshots is null then
            number := null;
        end if;
        return;
    end if;
    base := coalesce(again.base, before.snapshot);
    base_number := coalesce(again.base_number, greatest(kept.number - 1, 0));
    passed_snapshots := '{}';
    passed_positions := '{}';
    if present.position_floor > 0 then
        passed_snapshots := array[all_of_it];
        passed_positions := array[present.position_floor];
    end if;
    if again.batch_number is not null then
        -- What is above a lower position of an earlier snapshot follows from being above this one of a later snapshot.
        select passed_snapshots || coalesce(array_agg(e.snapshot order by e.n), '{}') || all_of_it,
               passed_positions || coalesce(array_agg(e.position order by e.n), '{}') || least(locate_entry.position, present.position_floor)
        into passed_snapshots, passed_positions
        from unnest(again.passed_snapshots, again.passed_positions) with ordinality e (snapshot, "position", n)
        where e.position > locate_entry.position;
    end if;
    passed_snapshots := passed_snapshots || kept.snapshot;
    passed_positions := passed_positions || locate_entry.position;
end
$$;

-- What a recovery left on a stream is in no log: if the sink loses it, it is lost. The relay counts such entries, and sees no content.
grant select (stream, batch_id, position, recovery, topic, partition, fate) on outbox.unknown_entry to outbox_relay;
alter table outbox.loss drop constraint loss_why_check;
alter table outbox.loss add constraint loss_why_check check (why in ('log', 'generation', 'accepted'));
comment on column outbox_ops.losses.why is '`log`: Postgres no longer has all of it; `generation`: it is from before the topic got its partitions, and would come behind the end of those; `accepted`: a recovery with `trust-stream` had left it on the stream, Postgres never had it again, and what it was is in outbox.unknown_entry.';

do $$
declare
    function regprocedure;
begin
    alter table outbox.era_start owner to outbox_maintainer;
    foreach function in array array['outbox.behind_entry(text, integer, bigint, bigint, bigint)', 'outbox.locate_entry(text, integer, bigint, bigint)',
                                    'outbox.keep_era_starts()']::regprocedure[] loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
grant select on outbox.era_start to outbox_relay, outbox_observer;
grant execute on function outbox.behind_entry(text, integer, bigint, bigint, bigint), outbox.locate_entry(text, integer, bigint, bigint) to outbox_relay;

-- A time before 1970 means from the first on; so do orders that were given one before, or they could not be answered.
create or replace function outbox.place_of(place text, out batch_id bigint, out "position" bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if place ~ '^[0-9]{1,18}-[0-9]{1,18}$' then
        batch_id := split_part(place, '-', 1)::bigint;
        position := split_part(place, '-', 2)::bigint;
    else
        -- Batch ids are of the clock, and the clock is of this age.
        batch_id := greatest(0, floor(extract(epoch from place::timestamptz) * 1000))::bigint;
        position := 0;
    end if;
exception when data_exception then
    raise exception '% is neither an entry id (<batch>-<position>) nor a time', place using errcode = 'invalid_parameter_value';
end
$$;
update outbox.reissue_order set from_batch_id = 0 where from_batch_id < 0;
alter table outbox.reissue_order add constraint reissue_order_from_batch_id_check check (from_batch_id >= 0);
alter table outbox.reissue_order add constraint reissue_order_from_position_check check (from_position >= 0);
