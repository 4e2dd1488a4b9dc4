-- A page of one stream, backward: $1 its name, before version $2, up to $3 events, recorded at $4 at the latest (null: whenever), and
-- up to $5 bytes, but one at least.
select page.*
from (
    select e.position, e.recorded_at, e.stream, e.version, e.id, e.source, e.type, e.subject, e."time", e.data_content_type, e.data_schema, e.schema_version,
           e.correlation_id, e.causation_id, e.traceparent, e.tracestate, e.extensions::text as extensions, e.tags, e.topic, e.data, e.data_binary, e.archived,
           sum(coalesce(octet_length(e.data), octet_length(e.data_binary), 0) + 512) over (order by e.version desc)
             - coalesce(octet_length(e.data), octet_length(e.data_binary), 0) - 512 as bytes_before
    from (
        select s.*
        from outbox.stored_event s
        where s.stream_id = (select known.id from outbox.stream known where known.name = $1::text)
          and s.version < $2::bigint and ($4::timestamptz is null or s.recorded_at <= $4::timestamptz)
        order by s.version desc
        limit $3::bigint
    ) e
) page
where page.bytes_before < $5::bigint
order by page.version desc
