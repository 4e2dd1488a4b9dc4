-- What enter_inbox.sql does, for a call of several ids that lie together (inbox/run.rs): a month of days has thirty indexes, and a look into
-- each for each event would be most of what an event costs. Each is asked once whether it has anything from the least to the greatest id
-- of the call; where one has, each event is looked for in all of them, and otherwise in the days of these events alone ($11 to before $12).
-- All under one snapshot: where the range is empty, no look would have found anything.
-- One day in all is looked at by key at once: nobody leaves the only partition out of a plan, and it would be read from the least to the
-- greatest id.
-- Whatever else is said in enter_inbox.sql holds here: a test compares them.
with span as materialized (
    select given.source, min(given.id) as low, max(given.id) as high
    from unnest($4::text[], $5::text[]) given (source, id)
    group by given.source
), near as materialized (
    select (select count(*) from (select from pg_catalog.pg_inherits where inhparent = 'outbox.inbox'::regclass limit 2) day) < 2
           or exists (
               select from span
               where exists (
                   select from outbox.inbox known
                   where known.consumer = $1 and known.source = span.source and known.id >= span.low and known.id <= span.high
                     and known.recorded_at >= $9 and known.recorded_at < $11
                   offset 0
               ) or exists (
                   select from outbox.inbox known
                   where known.consumer = $1 and known.source = span.source and known.id >= span.low and known.id <= span.high
                     and known.recorded_at >= $12 and known.recorded_at <= $10
                   offset 0
               )
           ) as on_other_days,
           exists (
               select from span
               where exists (
                   select from outbox.inbox_foreign known
                   where known.consumer = $1 and known.source = span.source and known.id >= span.low and known.id <= span.high
                   offset 0
               )
           ) as without_day
), entered as (
    insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
    select $1, entry.source, entry.id, entry.recorded_at, $2, $3, entry.entry_id
    from (
        select distinct on (given.source, given.id) given.*
        from unnest($4::text[], $5::text[], $6::timestamptz[], $7::text[]) with ordinality
             given (source, id, recorded_at, entry_id, place)
        order by given.source, given.id, given.place
    ) entry
    where case when (select near.on_other_days from near) then not exists (
        select from outbox.inbox known
        where known.consumer = $1 and known.source = entry.source and known.id = entry.id and known.recorded_at <> entry.recorded_at
          and known.recorded_at >= $9 and known.recorded_at <= $10
        offset 0
    ) else not exists (
        select from outbox.inbox known
        where known.consumer = $1 and known.source = entry.source and known.id = entry.id and known.recorded_at <> entry.recorded_at
          and known.recorded_at >= $11 and known.recorded_at < $12
        offset 0
    ) end and case when (select near.without_day from near) then not exists (
        select from outbox.inbox_foreign known
        where known.consumer = $1 and known.source = entry.source and known.id = entry.id
        offset 0
    ) else true end
    on conflict do nothing
    returning entry_id, recorded_at
)
select entered.entry_id,
       exists (select from outbox.parked_lane lane where lane.consumer = $1 and lane.flow = $8),
       -- Where nothing was forgotten, no row asks for the stream.
       case when coalesce(entered.recorded_at < (select consumer.forgotten_until from outbox.consumer consumer where consumer.name = $1), false)
                 and not exists (
                     select from outbox.consumer_stream progress
                     where progress.consumer = $1 and progress.stream = $3
                       and (split_part(entered.entry_id, '-', 1)::numeric, split_part(entered.entry_id, '-', 2)::numeric)
                           <= (progress.replayed_batch, progress.replayed_position))
            then (select consumer.forgotten_until from outbox.consumer consumer where consumer.name = $1)::text
       end
from entered
