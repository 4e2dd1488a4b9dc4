-- Deletes events of a stream ($1) before version $2, because of $3, up to $4 of them.
select events, finished
from outbox.truncate_stream($1::text, $2::bigint, $3::text, $4::integer)
