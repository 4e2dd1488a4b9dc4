-- What is there to cut, where it is next to nothing: the rows that this statement sees and the snapshot of the batch before did not, with the
-- snapshot and what tells whether they may be cut by cut_looked.sql. It only reads: nothing found costs no more than this.
-- Which rows, and how pieces ahead of what was drawn are left out, is that of cut_few.sql. Where no transaction was open in the snapshot before,
-- the second arm is dropped from the plan when it starts: the comparison with null is true of no class.
-- One row at least; of more than $5 rows one more than that. They are in no order.
-- $1 xmax of the snapshot of the batch before, $2 its open transactions, $3 floor of the era, $4 where pieces that are ahead begin,
-- $5 how many rows, $6 the most bytes of a payload that comes along.
select moment.drawn, moment.snapshot, moment.backend, moment.started, moment.has_partitions, moment.has_subscribers,
       few.position, few.is_new, few.is_known, few.is_wide, few.topic, few.key, few.id, few.source, few.type, few.subject, few.time, few.recorded_at,
       few.data_content_type, few.data_schema, few.schema_version, few.correlation_id, few.causation_id, few.traceparent, few.tracestate,
       few.extensions::text as extensions, few.data, few.data_binary
from (
    -- Once, and before the rows: what the snapshot sees was drawn before it.
    select coalesce(pg_sequence_last_value('outbox.log_position'::regclass), 0) as drawn, pg_current_snapshot()::text as snapshot,
           pg_backend_pid() as backend, (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint as started,
           exists (select from outbox.topic t where t.partitions > 1) as has_partitions,
           exists (select from outbox.category) as has_subscribers
) moment
left join (
    select l.transaction_id >= $1::text::xid8 as is_new,
           l.topic is null or exists (select from outbox.topic known where known.name = l.topic) as is_known,
           coalesce(octet_length(l.data), octet_length(l.data_binary), 0) > $6::integer as is_wide,
           l.position, l.topic, l.key, l.id, l.source, l.type, l.subject, l.time, l.recorded_at, l.data_content_type, l.data_schema,
           l.schema_version, l.correlation_id, l.causation_id, l.traceparent, l.tracestate, l.extensions,
           case when octet_length(l.data) <= $6::integer then l.data end as data,
           case when octet_length(l.data_binary) <= $6::integer then l.data_binary end as data_binary
    from (
        select l.* from outbox.log l
        where l.transaction_id >= $1::text::xid8 and l.position + 0 > $3::bigint and l.position <= $4::bigint
        union all
        select l.* from outbox.log l
        where l.transaction_id = any($2::text[]::xid8[]) and l.position + 0 > $3::bigint and l.position <= $4::bigint
          and l.retention >= case when cardinality($2::text[]) > 0 then '' end
        limit $5::bigint + 1
    ) l
) few on true
