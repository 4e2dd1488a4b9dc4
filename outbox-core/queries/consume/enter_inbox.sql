-- An event that was appended twice under one id has two times of recording, which a unique index over days cannot see:
-- so the days around ($9 to $10) are looked at by key, and those alone: every day that is looked at is locked. Of equal ids in one
-- call the first counts. An event may have come when there was no day for it yet: then it is among the foreign ones. Whether any
-- key of the flow is parked is asked here, behind the claims: a transaction that was in the way may have parked one.
-- Offset 0 keeps it to one look by key for each event: a plan that was made while the inbox was empty would read all of it for each
-- call, and stay.
-- An event from before the ids that are remembered, and not among them, may have had its effect: the last column says up to
-- when ids were forgotten, unless the stream was set back to have such effects again. The day is dropped and the time set in
-- one transaction, and this statement sees both or neither: it locks the table before it looks.
with entered as (
    insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
    select $1, entry.source, entry.id, entry.recorded_at, $2, $3, entry.entry_id
    from (
        select distinct on (given.source, given.id) given.*
        from unnest($4::text[], $5::text[], $6::timestamptz[], $7::text[]) with ordinality
             given (source, id, recorded_at, entry_id, place)
        order by given.source, given.id, given.place
    ) entry
    where not exists (
        select from outbox.inbox known
        where known.consumer = $1 and known.source = entry.source and known.id = entry.id and known.recorded_at <> entry.recorded_at
          and known.recorded_at >= $9 and known.recorded_at <= $10
        offset 0
    ) and not exists (
        select from outbox.inbox_foreign known
        where known.consumer = $1 and known.source = entry.source and known.id = entry.id
        offset 0
    )
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
