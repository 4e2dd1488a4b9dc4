-- Records what a stream lost that a recovery had left on it and the log does not have. The stream goes on all the same: the floor stays.
-- $1 topic and $2 slot of the stream, $3 its key, $4 and $5 the last entry that is there, $6 and $7 the last one that should be, $8 epoch.
-- Said once.
with flushed as materialized (
    select set_config('synchronous_commit', 'on', true)
), accepted as (
    select u.recovery, count(*) as events, min(array[u.batch_id, u.position]) as first, max(array[u.batch_id, u.position]) as last
    from outbox.unknown_entry u
    where u.stream = $3::text and u.topic = $1::text and u.partition = $2::integer and u.fate = 'accepted'
      and (u.batch_id, u.position) > ($4::bigint, $5::bigint) and (u.batch_id, u.position) <= ($6::bigint, $7::bigint)
    group by u.recovery
), lost as (
    select (accepted.first)[1] || '-' || (accepted.first)[2] - 1 as after_entry, (accepted.last)[1] || '-' || (accepted.last)[2] as through_entry,
           accepted.last, accepted.events
    from accepted
)
insert into outbox.loss (topic, partition, stream, after_entry, through_entry, events, why, missed_by, epoch)
select $1::text, $2::integer, $3::text, lost.after_entry, lost.through_entry, lost.events, 'accepted', missed.groups, $8::bigint
from flushed, lost
cross join lateral (
    select coalesce(array_agg(reader.name order by reader.name), '{}') as groups
    from outbox.groups_of($1::text, $2::integer) reader
    where reader.action = 'registered' and not exists (
        select
        from outbox.stream_seen seen, jsonb_array_elements(seen.groups) told
        where seen.topic = $1::text and seen.partition = $2::integer and told ->> 'name' = reader.name
          and (split_part(told ->> 'delivered', '-', 1)::numeric, split_part(told ->> 'delivered', '-', 2)::numeric) >= ((lost.last)[1], (lost.last)[2])
          and ((told ->> 'pending')::bigint = 0
               or (split_part(told ->> 'lowest', '-', 1)::numeric, split_part(told ->> 'lowest', '-', 2)::numeric) > ((lost.last)[1], (lost.last)[2])))
) missed
where not exists (select from outbox.loss known
                  where known.topic = $1::text and known.partition = $2::integer and known.why = 'accepted' and known.through_entry = lost.through_entry)
returning after_entry, through_entry, events, missed_by
