select outbox.cancel_operation($1, $2)
