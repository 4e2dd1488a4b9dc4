select outbox.discard_dead_letters($1::text::jsonb, $2, $3)
