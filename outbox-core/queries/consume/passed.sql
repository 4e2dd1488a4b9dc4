select passed_batch::text, passed_position::text
from outbox.consumer_stream
where consumer = $1 and stream = $2
