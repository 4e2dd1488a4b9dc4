select outbox.seize_stream($1, $2, $3, $4 * interval '1 millisecond', $5)
