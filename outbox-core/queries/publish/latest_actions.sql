-- The latest action about each of the streams with topic $1 and slot $2: a person may have decided.
select e.topic, e.partition, latest.action
from unnest($1::text[], $2::integer[]) e (topic, partition)
cross join lateral (
    select a.action from outbox.stream_action a
    where a.topic = e.topic and a.partition = e.partition
    order by a.number desc
    limit 1
) latest
