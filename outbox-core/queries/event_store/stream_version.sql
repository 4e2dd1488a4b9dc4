-- At which version a stream is, and how far it was truncated; no row: it is not there.
select s.id, outbox.version_of(s.id) as version
from outbox.stream s
where s.name = $1::text
