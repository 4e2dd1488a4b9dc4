-- Which of these events ($2) a stream ($1) has. A transaction that is at work on the stream is waited for: what it does is known then.
select id, version, position
from outbox.find_appended($1::text, $2::uuid[])
order by version
