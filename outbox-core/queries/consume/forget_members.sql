delete from outbox.consumer_member where consumer = $1 and seen_at < clock_timestamp() - interval '1 day'
