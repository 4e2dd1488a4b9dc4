-- Where a stream ($1) stands; no row: it is not there.
select version, first_version, archived_through, gone
from outbox.stream_standing($1::text)
