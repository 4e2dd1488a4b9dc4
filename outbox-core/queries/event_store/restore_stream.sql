-- Moves events of a stream ($1) out of the archive, because of $2, up to $3 of them.
select events, finished
from outbox.restore_stream($1::text, $2::text, $3::integer)
