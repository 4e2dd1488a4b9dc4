-- What took an entry off a stream: the lowest floor above it; and whether a group was known to wait for it when it was lost for good.
-- $1 topic and $2 slot of the stream, $3 and $4 the id, $5 the group.
select f.cause,
       exists (select from outbox.loss l
               where l.topic = $1::text and l.partition = $2::integer and $5::text = any(l.missed_by)
                 and ($3::bigint, $4::bigint) <= (split_part(l.through_entry, '-', 1)::bigint, split_part(l.through_entry, '-', 2)::bigint)
                 and ($3::bigint, $4::bigint) >= (split_part(l.after_entry, '-', 1)::bigint, split_part(l.after_entry, '-', 2)::bigint)) as was_missed
from outbox.trim_floor f
where f.topic = $1::text and f.partition = $2::integer and (f.batch_id, f.position) > ($3::bigint, $4::bigint)
order by f.batch_id, f.position
limit 1
