select entry_id,
       attempts,
       greatest(extract(epoch from retry_at - clock_timestamp()) * 1000, 0)::bigint
from outbox.consumer_failure
where consumer = $1 and stream = $2
