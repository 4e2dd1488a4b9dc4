update outbox.consumer_lease
set holder = null, expires_at = '-infinity'
where consumer = $1 and stream = $2 and epoch = $3
