-- The last entry of a share of a stream that is wholly before an id: where the ledger says that the stream stood at some time.
-- An event that a person gave up never was an entry; what was the last one then, its progress says. No row: there is none.
-- $1 topic and $2 slot of the stream, $3 and $4 the id.
select ending.batch_id, ending.position
from outbox.share s
cross join lateral (select b.batch_id from outbox.batch b where b.number = s.batch_number limit 1) batch
cross join lateral (
    select batch.batch_id, s.last_position as position
    where s.last_position = 0 or not exists (select from outbox.unpublished u where u.position = s.last_position)
    union all
    (select p.chain_batch_id, p.chain_position
     from outbox.progress p
     where s.last_position > 0 and exists (select from outbox.unpublished u where u.position = s.last_position)
       and p.topic = $1::text and p.partition = $2::integer and p.batch_number = s.batch_number and p.position = s.last_position
     limit 1)
) ending
where s.topic = $1::text and s.partition = $2::integer
  and s.batch_number <= (select b.number from outbox.batch b where b.batch_id <= $3::bigint order by b.batch_id desc limit 1)
  and (batch.batch_id, s.last_position) < ($3::bigint, $4::bigint)
order by s.batch_number desc
limit 1
