select outbox.pause_consumer($1, $2)
