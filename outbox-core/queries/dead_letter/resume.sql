select outbox.resume_operation($1, $2)
