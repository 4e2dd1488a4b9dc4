-- Events without a day of their own. One that says when it was recorded may have had a day before: it is looked for there, and
-- it may be too old, as in enter_inbox.sql. One that does not say so may have come with a time before: the days around now
-- ($9 to $10, null where all say so) are looked at by key, and those alone: every day that is looked at is locked. With a null among
-- these times, or with none, all of them would be; no day has infinity. `offset 0`: by key, whatever is believed about the days.
with entered as (
    insert into outbox.inbox_foreign (consumer, source, id, outcome, stream, entry_id, recorded_at)
    select $1, entry.source, entry.id, $2, $3, entry.entry_id, case when entry.recorded_at < clock_timestamp() then entry.recorded_at end
    from unnest($4::text[], $5::text[], $6::text[], $8::timestamptz[]) entry (source, id, entry_id, recorded_at)
    where not exists (
        select from outbox.inbox known
        where known.consumer = $1 and known.source = entry.source and known.id = entry.id and known.recorded_at = entry.recorded_at
          and known.recorded_at = any(array_append(array_remove($8, null), 'infinity'))
        offset 0
    ) and not exists (
        select from outbox.inbox known
        where known.consumer = $1 and known.source = entry.source and known.id = entry.id and entry.recorded_at is null
          and known.recorded_at >= coalesce($9, 'infinity') and known.recorded_at <= coalesce($10, 'infinity')
        offset 0
    )
    on conflict do nothing
    returning entry_id, recorded_at
)
select entered.entry_id,
       exists (select from outbox.parked_lane lane where lane.consumer = $1 and lane.flow = $7),
       case when entered.recorded_at < (select consumer.forgotten_until from outbox.consumer consumer where consumer.name = $1)
                 and not exists (
                     select from outbox.consumer_stream progress
                     where progress.consumer = $1 and progress.stream = $3
                       and (split_part(entered.entry_id, '-', 1)::numeric, split_part(entered.entry_id, '-', 2)::numeric)
                           <= (progress.replayed_batch, progress.replayed_position))
            then (select consumer.forgotten_until from outbox.consumer consumer where consumer.name = $1)::text
       end
from entered
