-- Where the group finds what the stream no longer has, by the seek that was completed last.
select prelude from outbox.consumer_stream where consumer = $1 and stream = $2
