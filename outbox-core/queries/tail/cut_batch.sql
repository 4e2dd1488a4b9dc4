-- Which rows are in the next batch: those that this statement sees and the snapshot of the batch before did not.
-- Two arms, one index each: transactions that began after that snapshot, and those that were open in it.
-- One statement takes the snapshot, stores the batch with its shares, and returns its rows if they are few.
-- Which partition a row goes to is decided here, by the layouts in force in the same snapshot. If a topic should have more
-- partitions than it has, the statement fails (OB428) and they are laid first: what is appended after a topic was set finds them.
-- Stored events without a topic stay here: they are in no share, but in the batch, which is what subscriptions are woken for; and
-- where nothing else is appended they would be looked at again by every cut.
-- So do rows whose topic is no name, which no function of the outbox inserts: no stream could be made of them, and one would stop all topics.
-- They are kept by name beside the batch, and told once (`misnamed`).
-- cut_few.sql finds the same, for less, where it is little. Where there is much, most of it was counted before, by count_far.sql, in the same
-- snapshot: a transaction of both is `repeatable read`.
-- $1 number of the batch before, $2 xmax of its snapshot, $3 its open transactions, $4 era, $5 epoch of the leader,
-- $6 up to how many rows are returned at once, $7 up to how many bytes of them, $8 floor of the era: what is not above it was
-- appended before the era, perhaps on another server, and its transaction ids mean nothing here,
-- $9 above this position the rows of the classes that pass are not looked at: they were counted, by count_far.sql; null if nothing was,
-- $10 what it counted, by topic; and by partition, if it was asked for that: if not, all rows of topics with partitions are looked at here.
with flushed as materialized (
    -- The commit of a batch flushes the log past every commit that it contains, whatever the server's default.
    select set_config('synchronous_commit', 'on', true)
), layout as materialized (
    -- Null where no topic has partitions, and then nothing else about them is asked.
    select case when exists (select from outbox.topic t where t.partitions > 1) then outbox.layouts_in_force() end as laid
), arrived as (
    select topic, position, true as is_new from outbox.log
    where transaction_id >= $2::text::xid8 and position > $8::bigint
      and retention in ('standard', 'audit') and position <= coalesce($9::bigint, 9223372036854775807)
    union all
    select topic, position, true from outbox.log
    where transaction_id >= $2::text::xid8 and position > $8::bigint and retention not in ('standard', 'audit')
    union all
    select topic, position, false from outbox.log
    where transaction_id = any($3::text[]::xid8[]) and position > $8::bigint
      and retention in ('standard', 'audit') and position <= coalesce($9::bigint, 9223372036854775807)
    union all
    select topic, position, false from outbox.log
    where transaction_id = any($3::text[]::xid8[]) and position > $8::bigint and retention not in ('standard', 'audit')
), far as materialized (
    select * from json_to_recordset($10::text::json) f (topic text, partition integer, event_count bigint, first_position bigint,
                                                        last_position bigint, first_new_position bigint)
), counted as (
    select topic, count(*) as event_count, min(position) as first_position, max(position) as last_position,
           min(position) filter (where is_new) as first_new_position
    from arrived
    group by topic
    union all
    select far.topic, far.event_count, far.first_position, far.last_position, far.first_new_position
    from far
), topic_share as materialized (
    select topic, sum(event_count)::bigint as event_count, min(first_position) as first_position, max(last_position) as last_position,
           min(first_new_position) as first_new_position,
           -- Null where there is none. Length and characters apart, as everywhere.
           topic ~ '^[A-Za-z0-9._-]+$' and octet_length(topic) <= 200 as is_name
    from counted
    group by topic
), share as materialized (
    select topic, 0 as partition, event_count, first_position, last_position, first_new_position
    from topic_share, layout
    where topic_share.is_name and (layout.laid is null or not layout.laid -> 'partitions' ? topic_share.topic)
    union all
    -- The rows of topics with partitions by partition, in the same snapshot: counted here, and what was counted apart so.
    select parted.topic, parted.partition, sum(parted.event_count)::bigint, min(parted.first_position), max(parted.last_position),
           min(parted.first_new_position)
    from (
        select near.* from outbox.partition_shares($2::text, $3::text[], (select laid from layout), $8::bigint,
                                                  (select $9::bigint where exists (select from far where far.partition > 0))) near
        where (select laid from layout) is not null
        union all
        select far.* from far where far.partition > 0
    ) parted
    group by parted.topic, parted.partition
), total as materialized (
    select coalesce(sum(event_count) filter (where is_name), 0)::bigint as event_count,
           min(first_position) as first_position, max(last_position) as last_position,
           json_agg(json_build_array(topic, event_count, first_position, last_position)) filter (where not is_name) as misnamed
    from topic_share
    having count(*) > 0
), cut as (
    insert into outbox.batch (number, batch_id, era, epoch, snapshot, event_count, first_position, last_position, layouts)
    select before.number + 1,
           greatest(before.batch_id + 1, (extract(epoch from clock_timestamp()) * 1000)::bigint),
           $4::integer, $5::bigint, pg_current_snapshot(), total.event_count, total.first_position, total.last_position,
           coalesce((layout.laid ->> 'layouts')::bigint, 0)
    from total, flushed, layout, outbox.batch before
    where before.number = $1::bigint
    returning number, batch_id, snapshot, event_count, first_position, last_position
), shared as (
    insert into outbox.share (batch_number, topic, partition, event_count, first_position, last_position, first_new_position)
    select cut.number, share.topic, share.partition, share.event_count, share.first_position, share.last_position, share.first_new_position
    from cut, share
), seen as (
    insert into outbox.topic (name)
    select topic_share.topic from topic_share where topic_share.is_name and not exists (select from outbox.topic known where known.name = topic_share.topic)
    on conflict do nothing
), few as (
    select row.*, sum(row.bytes) over (order by row.position) as bytes_so_far
    from (
        select l.*, coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
        from outbox.log l
        where l.transaction_id >= $2::text::xid8 and l.position > $8::bigint and l.topic is not null
          and (select event_count from total where misnamed is null) between 1 and $6::bigint
        union all
        select l.*, coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512
        from outbox.log l
        where l.transaction_id = any($3::text[]::xid8[]) and l.position > $8::bigint and l.topic is not null
          and (select event_count from total where misnamed is null) between 1 and $6::bigint
    ) row
)
select cut.number, cut.batch_id, cut.snapshot::text as snapshot, cut.event_count, cut.first_position, cut.last_position,
       case when row_number() over (order by few.position) = 1 then
           (select coalesce(json_agg(json_build_array(topic, partition, coalesce(((select laid -> 'partitions' from layout) ->> topic)::integer, 1), event_count,
                                             first_position, last_position, first_new_position)), '[]')::text from share)
       end as shares,
       case when row_number() over (order by few.position) = 1 and exists (select from outbox.category) then
           pg_notify('outbox_batch', cut.number::text) is not null
       end as has_told,
       case when row_number() over (order by few.position) = 1 and (select misnamed from total) is not null then
           outbox.keep_misnamed((select misnamed from total))
       end as misnamed,
       few.position, few.topic, few.key, few.id, few.source, few.type, few.subject, few.time, few.recorded_at, few.data_content_type,
       few.data_schema, few.schema_version, few.correlation_id, few.causation_id, few.traceparent, few.tracestate,
       few.extensions::text as extensions, few.data, few.data_binary
from cut
left join few on few.bytes_so_far - few.bytes < $7::bigint
order by few.position
