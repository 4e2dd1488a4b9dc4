insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
select $1, entry.source, entry.id, entry.recorded_at, $2, $3, entry.entry_id
from unnest($4::text[], $5::text[], $6::timestamptz[], $7::text[]) entry (source, id, recorded_at, entry_id)
on conflict do nothing
returning entry_id
