-- Which rows are in the next batch, where they are few, as nearly always: they are those of cut_batch.sql, read once and counted as they are; and pieces
-- of the log ahead of what was drawn are not looked at. A batch of more than that is not cut here, nor one with a topic that is no name; one row
-- without a number says so.
-- Pieces ahead: every position came from the sequence before its row was inserted, so what this statement sees is not above what the
-- sequence says while it runs. If that is above $9, one row without a number says how far it is, and nothing is cut.
-- Below there is no such bound: an open transaction holds a position however low. The floor is written as no index can use it: with
-- bounds on both sides an index that has positions behind something else would seem as good as the one on transactions.
-- $1 number of the batch before, $2 xmax of its snapshot, $3 its open transactions, $4 era, $5 epoch of the leader,
-- $6 how many rows are few, $7 up to how many bytes of them are returned at once, $8 floor of the era, $9 where pieces that are
-- ahead begin.
with flushed as materialized (
    -- The commit of a batch flushes the log past every commit that it contains, whatever the server's default.
    select set_config('synchronous_commit', 'on', true)
), drawn as materialized (
    select coalesce(pg_sequence_last_value('outbox.log_position'::regclass), 0) as position
), layout as materialized (
    select case when exists (select from outbox.topic t where t.partitions > 1) then outbox.layouts_in_force() end as laid
), arrived as materialized (
    select either.*
    from (
        select l.* from outbox.log l where l.transaction_id >= $2::text::xid8 and l.position + 0 > $8::bigint and l.position <= $9::bigint
        union all
        select l.* from outbox.log l where l.transaction_id = any($3::text[]::xid8[]) and l.position + 0 > $8::bigint and l.position <= $9::bigint
    ) either
    limit $6::bigint + 1
), topic_share as materialized (
    select topic, count(*) as event_count, min(position) as first_position, max(position) as last_position,
           min(position) filter (where transaction_id >= $2::text::xid8) as first_new_position,
           topic ~ '^[A-Za-z0-9._-]+$' and octet_length(topic) <= 200 as is_name
    from arrived
    group by topic
), total as materialized (
    select coalesce(sum(event_count) filter (where topic is not null), 0)::bigint as event_count,
           min(first_position) as first_position, max(last_position) as last_position
    from topic_share
    having sum(event_count) between 1 and $6::bigint and (select drawn.position from drawn) <= $9::bigint and bool_and(is_name) is not false
), share as materialized (
    select topic, 0 as partition, topic_share.event_count, topic_share.first_position, topic_share.last_position, first_new_position
    from topic_share, layout
    where topic_share.topic is not null and (layout.laid is null or not layout.laid -> 'partitions' ? topic_share.topic)
    union all
    -- The rows of topics with partitions, counted again by partition, in the same snapshot.
    select parted.topic, parted.partition, parted.event_count, parted.first_position, parted.last_position, parted.first_new_position
    from outbox.partition_shares($2::text, $3::text[], (select laid from layout), $8::bigint) parted
    where (select laid from layout) is not null and exists (select from total)
), cut as (
    insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position, layouts)
    select before.number + 1,
           greatest(before.batch_id + 1, (extract(epoch from clock_timestamp()) * 1000)::bigint),
           $4::integer, $5::bigint, pg_current_snapshot(), total.event_count, total.first_position, total.last_position,
           coalesce((layout.laid ->> 'layouts')::bigint, 0)
    from total, flushed, layout, outbox.batch before
    where before.number = $1::bigint
    returning number, batch_id, snapshot, event_count
), shared as (
    insert into outbox.share (batch_number, topic, partition, event_count, first_position, last_position, first_new_position)
    select cut.number, share.topic, share.partition, share.event_count, share.first_position, share.last_position, share.first_new_position
    from cut, share
), seen as (
    insert into outbox.topic (name)
    select topic_share.topic from cut, topic_share
    where topic_share.topic is not null and not exists (select from outbox.topic known where known.name = topic_share.topic)
    on conflict do nothing
), few as (
    select row.*, sum(row.bytes) over (order by row.position) as bytes_so_far
    from (
        select arrived.*, coalesce(octet_length(arrived.data), octet_length(arrived.data_binary), 0) + 512 as bytes
        from arrived
        where arrived.topic is not null
    ) row
)
select cut.number, cut.batch_id, cut.snapshot::text as snapshot, cut.event_count, drawn.position as drawn,
       case when row_number() over (order by few.position) = 1 then
           (select coalesce(json_agg(json_build_array(topic, partition, coalesce(((select laid -> 'partitions' from layout) ->> topic)::integer, 1), event_count,
                                             first_position, last_position, first_new_position)), '[]')::text from share)
       end as shares,
       case when row_number() over (order by few.position) = 1 and cut.number is not null and exists (select from outbox.category) then
           pg_notify('outbox_batch', cut.number::text) is not null
       end as has_told,
       few.position, few.topic, few.key, few.id, few.source, few.type, few.subject, few.time, few.recorded_at, few.data_content_type,
       few.data_schema, few.schema_version, few.correlation_id, few.causation_id, few.traceparent, few.tracestate,
       few.extensions::text as extensions, few.data, few.data_binary
from drawn
left join cut on true
left join few on cut.number is not null and few.bytes_so_far - few.bytes < $7::bigint
where cut.number is not null or drawn.position > $9::bigint or exists (select from arrived)
order by few.position
