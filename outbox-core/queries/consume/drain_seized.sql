select passed_batch::text, passed_position::text from outbox.drain_seized($1, $2, $3)
