-- The event that stands for each of these identities, and from when to when: where none did, the earliest of this call. Each row is
-- locked until the transaction ends, in the order of the identities. An event counts from when it was recorded; one that does not
-- say so, or says a time that is still to come, from now. The last column says what that is.
insert into outbox.inbox_keyed as known (consumer, topic, identity, source, id, entered_at, expires_at)
select $1, $2, given.identity, given.source, given.id, given.entered_at, given.entered_at + $3 * interval '1 millisecond'
from (
    select distinct on (entry.identity) entry.identity, entry.source, entry.id,
           least(entry.recorded_at, statement_timestamp()) as entered_at
    from unnest($4::bytea[], $5::text[], $6::text[], $7::timestamptz[]) with ordinality
         entry (identity, source, id, recorded_at, place)
    order by entry.identity, entry.place
) given
order by given.identity
on conflict (consumer, topic, identity) do update set expires_at = known.expires_at
returning known.identity, known.source, known.id, known.entered_at, known.expires_at, statement_timestamp()
