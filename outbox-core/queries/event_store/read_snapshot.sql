-- The state to begin loading a stream ($1) at, of this shape ($2) and version of it ($3); no row: there is none of use.
select begins, version, event, state, digest
from outbox.read_snapshot($1::text, $2::text, $3::integer)
