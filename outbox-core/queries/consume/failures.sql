select entry_id, attempts
from outbox.consumer_failure
where consumer = $1 and stream = $2
