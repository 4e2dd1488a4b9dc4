-- What a repair of one stream goes by: its re-issues and eras, how far it came, its floor, whether it waits for a person or lost its end, from which
-- batch on its topic has the partitions that it has, and how many. $1 topic and $2 slot of the stream.
select head.number as head_number,
       -- The least that the next batch id will be: of the ledger and of this clock, not of the relay's host.
       greatest(head.batch_id + 1, (extract(epoch from clock_timestamp()) * 1000)::bigint) as next_batch_id,
       coalesce(passed.batch_number, 0) as batch_number, coalesce(passed.position, 0) as position,
       coalesce(passed.chain_batch_id, 0) as chain_batch_id, coalesce(passed.chain_position, 0) as chain_position,
       coalesce(floor.batch_id, 0) as floor_batch_id, coalesce(floor.position, 0) as floor_position,
       coalesce(latest.action in ('set_aside', 'blocked'), false) as stopped, coalesce(latest.action = 'lost', false) as lost,
       coalesce(layout.batch_id, 0) as layout_batch_id, coalesce(layout.partitions, 1) as partitions,
       coalesce((
           select json_agg(json_build_array(put.number, put.batch_id, put.first_position, put.kept_batch_id, put.kept_position) order by put.number)::text
           from (
               select r.batch_number as number, b.batch_id, s.first_position, r.kept_batch_id, r.kept_position
               from outbox.reissue r
               cross join lateral (select b.batch_id from outbox.batch b where b.number = r.batch_number limit 1) b
               cross join lateral (select s.first_position from outbox.share s
                                   where s.topic = r.topic and s.partition = r.partition and s.batch_number = r.batch_number limit 1) s
               where r.topic = $1::text and r.partition = $2::integer
               union all
               -- What an era took off the stream, or never sent, stands nowhere else: it goes on behind the entry that stayed.
               select k.batch_number, e.batch_id, k.first_position, k.kept_batch_id, k.kept_position
               from outbox.era_start k
               join outbox.era e on e.batch_number = k.batch_number
               where k.topic = $1::text and k.partition = $2::integer
           ) put), '[]') as reissues,
       coalesce((select extract(epoch from clock_timestamp() - max(r.cut_at)) from outbox.reissue r
                 where r.topic = $1::text and r.partition = $2::integer), 1e9)::float8 as seconds_since_last
from (select b.number, b.batch_id from outbox.batch b order by b.number desc limit 1) head
left join lateral (
    select p.batch_number, p.position, p.chain_batch_id, p.chain_position from outbox.progress p
    where p.topic = $1::text and p.partition = $2::integer
    order by p.batch_number desc, p.position desc
    limit 1
) passed on true
left join lateral (
    select f.batch_id, f.position from outbox.trim_floor f
    where f.topic = $1::text and f.partition = $2::integer
    order by f.batch_id desc, f.position desc
    limit 1
) floor on true
left join lateral (
    select a.action from outbox.stream_action a
    where a.topic = $1::text and a.partition = $2::integer
    order by a.number desc
    limit 1
) latest on true
left join lateral (
    select l.batch_id, l.partitions from outbox.topic_layout l
    where l.topic = $1::text
    order by l.generation desc
    limit 1
) layout on true
