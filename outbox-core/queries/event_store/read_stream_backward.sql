-- A page of one stream, backward: $1 its name, before version $2, up to $3 events and up to $4 bytes, but one at least. Versions have no gaps
-- but at the beginning, where events were removed: so a page is a range of versions, and costs the same wherever it lies, whatever the plan.
-- Nearly all pages have room for their bytes, which a sum tells; where one has not, the running sums say where it is cut.
with place as materialized (
    select known.id, least($2::bigint, outbox.version_of(known.id) + 1) as before,
           1 + coalesce((select max(step.through) from outbox.stream_step step
                         where step.stream = known.id and step.action in ('truncate', 'tombstone')), 0) as end_version
    from outbox.stream known
    where known.name = $1::text
), size as materialized (
    select sum(coalesce(octet_length(s.data), octet_length(s.data_binary), 0)) + 512 * count(*) as bytes
    from outbox.stored_event s
    where s.stream_id = (select place.id from place) and s.version < (select place.before from place) and s.version >= (select place.before from place) - $3::bigint
), cut as materialized (
    select case when (select size.bytes from size) <= $4::bigint then (select place.before from place) - $3::bigint else (
        select min(w.version)
        from (select s.version, sum(coalesce(octet_length(s.data), octet_length(s.data_binary), 0) + 512)
                                    over (order by s.version desc rows between unbounded preceding and 1 preceding) as bytes_before
              from outbox.stored_event s
              where s.stream_id = (select place.id from place) and s.version < (select place.before from place)
                and s.version >= (select place.before from place) - $3::bigint) w
        where coalesce(w.bytes_before, 0) < $4::bigint) end as version
)
select s.position, s.recorded_at, s.version, s.id, s.source, s.type, s.subject, s."time", s.data_content_type, s.data_schema, s.schema_version,
       s.correlation_id, s.causation_id, s.traceparent, s.tracestate, s.extensions::text as extensions, s.tags, s.topic, s.data, s.data_binary, s.archived,
       (select place.end_version from place) as end_version
from outbox.stored_event s
where s.stream_id = (select place.id from place) and s.version < (select place.before from place) and s.version >= (select cut.version from cut)
  and s.version >= (select place.end_version from place)
order by s.version desc
