-- What of the next batch is above a position, counted by topic and partition: of a backlog nearly all. It is what cut_batch.sql counts, which then
-- looks only at what is not above that position, in the same snapshot: both are in one transaction that is `repeatable read`. This one only
-- reads, so it may be shared among several processes of the server.
-- Pieces of the log that begin above are read as they lie, without an index: every row in them was appended since the batch before.
-- Of the classes that pass: the others are in one piece each, which holds everything of old.
-- A key is asked for its partition once, however many events it has. What has no key goes by its id; it is looked at once more, where there is any.
-- $1 xmax of the snapshot of the batch before, $2 its open transactions, $3 the position, $4 partitions by topic, of topics that have
-- several (weigh_keys.sql), in the same snapshot; null: they are counted by topic alone, as all others.
with by_key as materialized (
    select topic, case when $4::text::jsonb ? topic then key collate "C" end as key,
           count(*) as event_count, min(position) as first_position, max(position) as last_position,
           min(position) filter (where transaction_id >= $1::text::xid8) as first_new_position
    from outbox.log
    where retention in ('standard', 'audit') and position > $3::bigint
      and (transaction_id >= $1::text::xid8 or transaction_id = any($2::text[]::xid8[]))
    group by 1, 2
)
select coalesce(json_agg(json_build_object('topic', topic, 'partition', partition, 'event_count', event_count, 'first_position', first_position,
                                           'last_position', last_position, 'first_new_position', first_new_position)), '[]')::text as counted
from (
    select topic, case when key is null then 0 else 1 + outbox.partition_of(key, ($4::text::jsonb ->> topic)::integer) end as partition,
           sum(event_count)::bigint as event_count, min(first_position) as first_position, max(last_position) as last_position,
           min(first_new_position) as first_new_position
    from by_key
    where key is not null or $4::text::jsonb ? topic is not true
    group by 1, 2
    union all
    select topic, 1 + outbox.partition_of(id::text, ($4::text::jsonb ->> topic)::integer),
           count(*), min(position), max(position), min(position) filter (where transaction_id >= $1::text::xid8)
    from outbox.log
    where retention in ('standard', 'audit') and position > $3::bigint
      and (transaction_id >= $1::text::xid8 or transaction_id = any($2::text[]::xid8[]))
      and key is null and $4::text::jsonb ? topic
      and exists (select from by_key where by_key.key is null and $4::text::jsonb ? by_key.topic)
    group by 1, 2
) far
