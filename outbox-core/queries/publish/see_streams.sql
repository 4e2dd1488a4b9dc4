-- Shows what the leader with epoch $2 saw of streams: $1 is a list of objects with the columns' names.
insert into outbox.stream_seen as known (topic, partition, stream, epoch, length, memory_bytes, first_entry, last_entry, groups, held_by, held_since)
select seen.topic, seen.partition, seen.stream, $2::bigint, seen.length, seen.memory_bytes, seen.first_entry, seen.last_entry,
       coalesce(seen.groups, '[]'), seen.held_by, case when seen.held_by is not null then clock_timestamp() end
from jsonb_to_recordset($1::text::jsonb) seen (topic text, partition integer, stream text, length bigint, memory_bytes bigint,
                                               first_entry text, last_entry text, groups jsonb, held_by text)
order by seen.topic, seen.partition
on conflict (topic, partition) do update
set stream = excluded.stream, epoch = excluded.epoch, length = excluded.length, memory_bytes = excluded.memory_bytes,
    first_entry = excluded.first_entry, last_entry = excluded.last_entry, groups = excluded.groups, held_by = excluded.held_by,
    held_since = case when known.held_by is not distinct from excluded.held_by then known.held_since else excluded.held_since end,
    seen_at = clock_timestamp()
where known.epoch <= excluded.epoch
