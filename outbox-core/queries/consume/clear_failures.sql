delete from outbox.consumer_failure where consumer = $1 and stream = $2 and entry_id = any($3)
