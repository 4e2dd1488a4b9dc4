-- Held until the applying transaction ends: a takeover wants the row for update and waits for that.
select pg_backend_pid()
from outbox.consumer_lease
where consumer = $1 and stream = $2 and epoch = $3 and expires_at > clock_timestamp()
for key share
