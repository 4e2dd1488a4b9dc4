-- All of it is passed.
update outbox.consumer_stream set prelude = null where consumer = $1 and stream = $2 and prelude = $3
