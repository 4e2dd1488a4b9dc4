-- Lets a stream go on after its cause was mended. Returns the position it goes on from.
select outbox.resume_topic($1, $2, $3)
