-- Has a subscription ($1) go on, because of $2: one generation ($3), or all. Returns how many were paused.
select outbox.resume_subscription($1::text, $2::text, $3::integer)
