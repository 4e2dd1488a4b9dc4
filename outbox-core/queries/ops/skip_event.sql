-- Gives up the one event that stops a stream. Returns its position.
select outbox.skip_event($1, $2, $3, $4)
