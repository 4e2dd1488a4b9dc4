-- Sets a stream aside at one event, together with its progress up to there; both or neither.
-- $1 topic, $2 batch number and $3 position of the last event confirmed, $4 and $5 the entry it is, $6 epoch,
-- $7 batch number and $8 position of the event that cannot go on, $9 its id, $10 why.
with flushed as materialized (
    select set_config('synchronous_commit', 'on', true)
), passed as (
    insert into outbox.progress (topic, batch_number, position, chain_batch_id, chain_position, epoch)
    select $1::text, $2::bigint, $3::bigint, $4::bigint, $5::bigint, $6::bigint from flushed where $3::bigint > 0
)
insert into outbox.stream_action (topic, action, batch_number, position, event_id, reason)
select $1::text, 'set_aside', $7::bigint, $8::bigint, $9::text::uuid, $10::text from flushed
returning number
