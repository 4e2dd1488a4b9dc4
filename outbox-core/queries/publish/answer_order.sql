-- Says what became of an order. $1 its number, $2 state, $3 why it was refused, $4 the entry kept, $5 events between the two ends,
-- $6 events that are put out again, $7 number of the re-issue, $8 events that had been removed.
update outbox.reissue_order
set state = $2::text, answer = $3::text, kept = $4::text, wanted = $5::bigint, events = $6::bigint, batch_number = $7::bigint, removed = $8::bigint,
    answered_at = clock_timestamp()
where number = $1::bigint and state = 'waiting'
