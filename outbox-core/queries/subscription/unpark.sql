-- Nothing of a stream waits any more.
delete from outbox.parked_stream where subscription = $1::text and generation = $2::integer and stream = $3::bigint
