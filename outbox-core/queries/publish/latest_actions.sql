-- Streams among $1 whose latest action is no longer that they were set aside: a person decided.
select distinct on (topic) topic, action, number
from outbox.stream_action
where topic = any($1::text[]) and partition = 0
order by topic, number desc
