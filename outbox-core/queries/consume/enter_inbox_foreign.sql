with entered as (
    insert into outbox.inbox_foreign (consumer, source, id, outcome, stream, entry_id)
    select $1, entry.source, entry.id, $2, $3, entry.entry_id
    from unnest($4::text[], $5::text[], $6::text[]) entry (source, id, entry_id)
    on conflict do nothing
    returning entry_id
)
select entered.entry_id, exists (select from outbox.parked_lane lane where lane.consumer = $1 and lane.flow = $7), null::text
from entered
