select outbox.keep_seized($1, $2, $3, $4 * interval '1 millisecond')
