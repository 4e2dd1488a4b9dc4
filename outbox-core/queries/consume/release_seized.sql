select outbox.release_seized($1, $2, $3)
