-- Moves events of a stream ($1) up to version $2 (null: all) into the archive, because of $3, up to $4 of them.
select events, finished
from outbox.archive_stream($1::text, $2::bigint, $3::text, $4::integer)
