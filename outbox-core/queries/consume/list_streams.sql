-- The streams that this group ever applied.
select stream from outbox.consumer_lease where consumer = $1 order by stream limit 10000
