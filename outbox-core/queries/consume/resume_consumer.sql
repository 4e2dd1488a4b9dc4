select outbox.resume_consumer($1, $2)
