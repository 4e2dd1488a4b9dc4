-- A page of one stream, forward: $1 its name, behind version $2, up to $3 events and up to $4 bytes, but one at least. Versions have no gaps
-- but at the beginning, where events were removed: so a page is a range of versions, and costs the same wherever it lies, whatever the plan.
with named as materialized (
    select known.id,
           coalesce((select max(step.through) from outbox.stream_step step
                     where step.stream = known.id and step.action in ('truncate', 'tombstone')), 0) as removed_through
    from outbox.stream known
    where known.name = $1::text
), place as materialized (
    select named.id, greatest($2::bigint, (select named.removed_through from named)) as after from named
)
select page.*
from (
    select s.position, s.recorded_at, $1::text as stream, s.version, s.id, s.source, s.type, s.subject, s."time", s.data_content_type, s.data_schema, s.schema_version,
           s.correlation_id, s.causation_id, s.traceparent, s.tracestate, s.extensions::text as extensions, s.tags, s.topic, s.data, s.data_binary, s.archived,
           sum(coalesce(octet_length(s.data), octet_length(s.data_binary), 0) + 512) over (order by s.version)
             - coalesce(octet_length(s.data), octet_length(s.data_binary), 0) - 512 as bytes_before
    from place
    join outbox.stored_event s on s.stream_id = place.id and s.version > least(place.after, 9223372036854775807 - $3::bigint) and s.version <= least(place.after, 9223372036854775807 - $3::bigint) + $3::bigint
) page
where page.bytes_before < $4::bigint
order by page.version
