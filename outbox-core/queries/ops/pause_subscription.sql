-- Has nothing more of a subscription ($1) applied, because of $2: of one generation ($3), or of all. Returns how many were not paused before.
select outbox.pause_subscription($1::text, $2::text, $3::integer)
