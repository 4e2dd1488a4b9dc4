delete from outbox.consumer_member where consumer = $1 and member = $2
