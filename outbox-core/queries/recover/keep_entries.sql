-- Keeps entries that the database does not know, whole, once, as long as the recovery goes on: no row if it does not. $1 recovery,
-- $2 key, $3 topic and $4 slot of the stream, $5 fate; of each entry $6 and $7 the id, $8 id of the event; of each field $9 the
-- place of its entry from 1 on, $10 name and $11 content. What a recovery kept that was given up is the present one's now.
with standing as materialized (
    select r.number, set_config('synchronous_commit', 'on', true) as flushed
    from outbox.recovery r where r.number = $1::bigint and r.state in ('begun', 'opened') for share of r
), field as (
    select f.entry, array_agg(f.name order by f.n) as names, array_agg(f.content order by f.n) as contents
    from unnest($9::bigint[], $10::text[], $11::bytea[]) with ordinality f (entry, name, content, n)
    group by f.entry
), kept as (
    insert into outbox.unknown_entry as known (recovery, stream, topic, partition, batch_id, position, event_id, names, contents, fate)
    select standing.number, $2::text, $3::text, $4::integer, e.batch_id, e.position, e.event_id, field.names, field.contents, $5::text
    from standing, unnest($6::bigint[], $7::bigint[], $8::text[]) with ordinality e (batch_id, position, event_id, n)
    join field on field.entry = e.n
    on conflict (stream, batch_id, position) do update set recovery = excluded.recovery, fate = excluded.fate
    where exists (select from outbox.recovery given_up where given_up.number = known.recovery and given_up.state = 'abandoned')
)
select standing.number from standing
