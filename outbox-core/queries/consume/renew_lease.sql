update outbox.consumer_lease
set expires_at = clock_timestamp() + $4 * interval '1 millisecond'
where consumer = $1 and stream = $2 and epoch = $3 and holder is not null
