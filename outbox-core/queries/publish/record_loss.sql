-- Records what a stream lost and nobody can put out again, with the floor that it makes: the entry that the next parcel would look
-- for need not be there. $1 topic and $2 slot of the stream, $3 its key, $4 and $5 the entry behind which the range begins, $6 and
-- $7 its last, $8 why, $9 epoch, $10 whether the stream goes on with that, or is put out again first.
with flushed as materialized (
    select set_config('synchronous_commit', 'on', true)
), raised as (
    insert into outbox.trim_floor (topic, partition, batch_id, position, cause, epoch)
    select $1::text, $2::integer, $6::bigint, $7::bigint + 1, 'lost', $9::bigint
    from flushed
    where not exists (select from outbox.trim_floor higher
                      where higher.topic = $1::text and higher.partition = $2::integer
                        and (higher.batch_id, higher.position) > ($6::bigint, $7::bigint))
), resumed as (
    insert into outbox.stream_action (topic, partition, action, reason)
    select $1::text, $2::integer, 'resume', 'nothing behind what was lost was on the stream: it goes on behind entry ' || $6::bigint || '-' || $7::bigint
    from flushed
    where $10::boolean and (
        select latest.action in ('set_aside', 'lost') from outbox.stream_action latest
        where latest.topic = $1::text and latest.partition = $2::integer
        order by latest.number desc
        limit 1)
), missed as (
    select coalesce(array_agg(reader.name order by reader.name), '{}') as groups
    from outbox.groups_of($1::text, $2::integer) reader
    where reader.action = 'registered' and not exists (
        select
        from outbox.stream_seen seen, jsonb_array_elements(seen.groups) told
        where seen.topic = $1::text and seen.partition = $2::integer and told ->> 'name' = reader.name
          and (split_part(told ->> 'delivered', '-', 1)::numeric, split_part(told ->> 'delivered', '-', 2)::numeric) >= ($6::bigint, $7::bigint)
          and ((told ->> 'pending')::bigint = 0
               or (split_part(told ->> 'lowest', '-', 1)::numeric, split_part(told ->> 'lowest', '-', 2)::numeric) > ($6::bigint, $7::bigint)))
)
insert into outbox.loss (topic, partition, stream, after_entry, through_entry, events, why, missed_by, epoch)
select $1::text, $2::integer, $3::text, $4::bigint || '-' || $5::bigint, $6::bigint || '-' || $7::bigint,
       -- Of what an era began with, only what was in no batch before: the rest was counted there.
       (select coalesce(sum(case batch.kind when 'cut' then s.event_count else greatest(0, s.event_count - before.events) end), 0)
        from outbox.share s
        cross join lateral (select b.kind, b.batch_id from outbox.batch b where b.number = s.batch_number limit 1) batch
        cross join lateral (
            select coalesce(sum(c.event_count), 0) as events
            from outbox.share c
            cross join lateral (select b.kind, b.batch_id from outbox.batch b where b.number = c.batch_number limit 1) b
            where batch.kind = 'era' and b.kind = 'cut' and c.topic = $1::text and c.partition = $2::integer and c.batch_number < s.batch_number
              and b.batch_id > (select k.kept_batch_id from outbox.era_start k
                                where k.topic = $1::text and k.partition = $2::integer and k.batch_number = s.batch_number)
        ) before
        where s.topic = $1::text and s.partition = $2::integer and batch.kind in ('cut', 'era')
          and s.batch_number > (select b.number from outbox.batch b where b.batch_id <= $4::bigint order by b.batch_id desc limit 1)
          and s.batch_number <= (select b.number from outbox.batch b where b.batch_id <= $6::bigint order by b.batch_id desc limit 1)),
       $8::text, missed.groups, $9::bigint
from flushed, missed
returning events, missed_by
