-- Which entries of a stream landed while an era was being opened: not of this ledger, judged as of the era before the present one,
-- and not kept yet. $1 key, $2 topic and $3 slot of the stream, $4 and $5 the id, $6 id of the event. `why` and n as in
-- publish/unknown_entries.sql.
select told.n, told.why
from (
    select e.n,
           case when cut.number is null then 'batch'
                when not exists (select from outbox.share s
                                 where s.topic = $2::text and s.partition = $3::integer and s.batch_number = cut.number
                                   and e.position between s.first_position and s.last_position) then 'place'
                when exists (select from outbox.log l
                             where l.topic = $2::text and l.position = e.position and l.id::text <> e.event_id) then 'event' end as why
    from unnest($4::bigint[], $5::bigint[], $6::text[]) with ordinality e (batch_id, position, event_id, n)
    left join lateral (select b.number from outbox.batch b where b.batch_id = e.batch_id limit 1) cut on true
    where e.batch_id >= (select oldest.batch_id from outbox.batch oldest order by oldest.number limit 1)
      and e.batch_id >= (select o.batch_id from outbox.era o order by o.era desc offset 1 limit 1)
      and not exists (select from outbox.unknown_entry kept
                      where kept.stream = $1::text and kept.batch_id = e.batch_id and kept.position = e.position and kept.fate = 'accepted')
) told
where told.why is not null
order by told.n
