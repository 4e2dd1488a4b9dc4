-- Which entries, found on streams, are not of this ledger: $1 topic and $2 slot of the stream, $3 and $4 the id, $5 id of the
-- event; the arrays are equally long. `why`: batch, the ledger never cut it; place, the batch has no such position on the stream;
-- event, the log has another event at that position. n counts from 1.
-- What is older than the ledger or whose row is dropped cannot be judged, nor a place by shares that are gone: their pieces may go before those of
-- the batches. What is older than the present era was judged.
select told.n, told.why
from (
    select e.n,
           case when cut.number is null then 'batch'
                when cut.number >= shares.begin and not exists (select from outbox.share s
                                                            where s.topic = e.topic and s.partition = e.slot and s.batch_number = cut.number
                                                              and e.position between s.first_position and s.last_position) then 'place'
                when exists (select from outbox.log l
                             where l.topic = e.topic and l.position = e.position and l.id::text <> e.event_id) then 'event' end as why
    from unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::text[]) with ordinality e (topic, slot, batch_id, position, event_id, n)
    left join lateral (select b.number from outbox.batch b where b.batch_id = e.batch_id limit 1) cut on true
    cross join (
        select coalesce(min(coalesce(piece.lower_bound, 0)), 0) as begin from outbox.piece piece
        where piece.parent = 'share' and not piece.detach_pending
    ) shares
    where e.batch_id >= (select oldest.batch_id from outbox.batch oldest order by oldest.number limit 1)
      and e.batch_id >= (select o.batch_id from outbox.era o order by o.era desc limit 1)
) told
where told.why is not null
order by told.n
