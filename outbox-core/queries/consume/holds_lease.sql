-- Whether a lease still holds. Without a lock: for what does no harm a moment later.
select exists (
    select from outbox.consumer_lease
    where consumer = $1 and stream = $2 and epoch = $3 and expires_at > clock_timestamp()
)
