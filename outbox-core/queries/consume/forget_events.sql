select outbox.forget_events($1, $2, $3, $4::numeric, $5::numeric, $6, $7, $8)
