-- A page of one stream, backward: $1 its name, before version $2, up to $3 events and up to $4 bytes, but one at least. Versions have no gaps
-- but at the beginning, where events were removed: so a page is a range of versions, and costs the same wherever it lies, whatever the plan.
with named as materialized (
    select known.id,
           coalesce((select max(step.through) from outbox.stream_step step
                     where step.stream = known.id and step.action in ('truncate', 'tombstone')), 0) as removed_through
    from outbox.stream known
    where known.name = $1::text
), place as materialized (
    select named.id, least($2::bigint, outbox.version_of((select named.id from named)) + 1) as after from named
)
select page.*
from (
    select s.position, s.recorded_at, $1::text as stream, s.version, s.id, s.source, s.type, s.subject, s."time", s.data_content_type, s.data_schema, s.schema_version,
           s.correlation_id, s.causation_id, s.traceparent, s.tracestate, s.extensions::text as extensions, s.tags, s.topic, s.data, s.data_binary, s.archived,
           sum(coalesce(octet_length(s.data), octet_length(s.data_binary), 0) + 512) over (order by s.version desc)
             - coalesce(octet_length(s.data), octet_length(s.data_binary), 0) - 512 as bytes_before
    from place
    join outbox.stored_event s on s.stream_id = place.id and s.version < place.after and s.version >= place.after - $3::bigint
        and s.version > (select named.removed_through from named)
) page
where page.bytes_before < $4::bigint
order by page.version desc
