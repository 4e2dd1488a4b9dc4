-- Keeps an entry that the database does not know, whole, once. $1 recovery, $2 key, $3 topic and $4 slot of the stream, $5 and $6
-- the id, $7 id of the event, $8 names and $9 contents of its fields, $10 fate.
with flushed as materialized (
    select set_config('synchronous_commit', 'on', true)
)
insert into outbox.unknown_entry (recovery, stream, topic, partition, batch_id, position, event_id, names, contents, fate)
select $1::bigint, $2::text, $3::text, $4::integer, $5::bigint, $6::bigint, $7::text, $8::text[], $9::bytea[], $10::text from flushed
on conflict do nothing
