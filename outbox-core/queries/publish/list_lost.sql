-- Streams that lost their end, and those that are set aside: some of them may have lost it as well.
select latest.topic, latest.partition
from (
    select distinct on (a.topic, a.partition) a.topic, a.partition, a.action
    from outbox.stream_action a
    order by a.topic, a.partition, a.number desc
) latest
where latest.action in ('set_aside', 'lost')
limit 1000
