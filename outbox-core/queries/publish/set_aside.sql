-- Sets a stream aside at one event, or says that it lost its end, together with its progress up to there; both or neither.
-- $1 topic and $2 slot of the stream, $3 batch number and $4 position of the last event confirmed, $5 and $6 the entry it is,
-- $7 epoch, $8 batch number and $9 position of the event that cannot go on, $10 its id, $11 why, $12 which of the two.
with flushed as materialized (
    select set_config('synchronous_commit', 'on', true)
), passed as (
    insert into outbox.progress (topic, partition, batch_number, position, chain_batch_id, chain_position, epoch)
    select $1::text, $2::integer, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bigint from flushed where $3::bigint > 0
)
insert into outbox.stream_action (topic, partition, action, batch_number, position, event_id, reason)
select $1::text, $2::integer, $12::text, $8::bigint, $9::bigint, $10::text::uuid, $11::text from flushed
returning number
