-- Re-issues that people asked for, in the order in which they did.
select o.number, o.topic, o.partition, o.from_batch_id, o.from_position, o.is_preview, o.actor,
       (select coalesce(sum(s.event_count), 0)::bigint
        from outbox.share s
        cross join lateral (select b.kind, b.batch_id from outbox.batch b where b.number = s.batch_number limit 1) batch
        where s.topic = o.topic and s.partition = o.partition and batch.kind = 'cut' and s.first_position > 0
          and (batch.batch_id, s.last_position) >= (o.from_batch_id, o.from_position)
          and (o.to_batch_id is null or (batch.batch_id, s.first_position) <= (o.to_batch_id, o.to_position))) as wanted
from outbox.reissue_order o
where o.state = 'waiting'
order by o.number
limit 20
