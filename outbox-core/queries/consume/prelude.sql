-- Where the group finds what the stream no longer has, by the seek that was completed last, as long as not all of it is passed.
select prelude from outbox.consumer_stream where consumer = $1 and stream = $2
