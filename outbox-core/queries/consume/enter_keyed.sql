-- The first event with an identity stands for those that follow until its window is over. Returns the entries of those that
-- are first: of equal identities in one call the earliest. In the order of the identities, which is the order of the locks.
insert into outbox.inbox_keyed as known (consumer, topic, identity, source, id, expires_at)
select $1, $2, given.identity, given.source, given.id, clock_timestamp() + $3 * interval '1 millisecond'
from (
    select distinct on (entry.identity) entry.*
    from unnest($4::bytea[], $5::text[], $6::text[]) with ordinality entry (identity, source, id, place)
    order by entry.identity, entry.place
) given
order by given.identity
on conflict (consumer, topic, identity) do update
set source = excluded.source, id = excluded.id, entered_at = clock_timestamp(), expires_at = excluded.expires_at
where known.expires_at <= clock_timestamp() or (known.source, known.id) = (excluded.source, excluded.id)
returning source, id
