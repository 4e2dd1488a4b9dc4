-- Lets all partitions of a generation go.
update outbox.subscription_lease set holder = null, expires_at = '-infinity' where subscription = $1::text and generation = $2::integer
