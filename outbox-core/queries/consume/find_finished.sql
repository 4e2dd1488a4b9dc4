select outbox.find_finished($1, $2, $3)
