-- Gives a partition back, if it is still held.
update outbox.subscription_lease
set holder = null, expires_at = '-infinity'
where subscription = $1::text and generation = $2::integer and partition = $3::integer and epoch = $4::bigint
