-- Deletes all events of a stream ($1) and buries it, because of $2, up to $3 events at a time.
select events, finished
from outbox.tombstone_stream($1::text, $2::text, $3::integer)
