select outbox.claim_stream($1, $2, $3)
