-- Streams that are set aside: some of them because they lost their end.
select latest.topic, latest.partition
from (
    select distinct on (a.topic, a.partition) a.topic, a.partition, a.action
    from outbox.stream_action a
    order by a.topic, a.partition, a.number desc
) latest
where latest.action = 'set_aside'
limit 1000
