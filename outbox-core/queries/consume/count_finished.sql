select outbox.count_finished($1, $2, $3::numeric, $4::numeric)
