-- What the consumers of this database know of the event $1, whose source ($2) and time of record ($3) may be unknown.
select known.consumer, known.at, known.step, known.detail::text as detail
from outbox.trace_consumers($1::text, $2::text, $3::timestamptz) known
