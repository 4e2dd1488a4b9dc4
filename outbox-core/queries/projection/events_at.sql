-- Events that this transaction has just appended, by position, as a projection is handed them.
select e.position, e.recorded_at, e.stream, e.version, e.id, e.source, e.type, e.subject, e."time", e.data_content_type, e.data_schema, e.schema_version,
       e.correlation_id, e.causation_id, e.traceparent, e.tracestate, e.extensions::text as extensions, e.tags, e.topic, e.data, e.data_binary, e.archived
from unnest($1::bigint[]) asked (position)
cross join lateral (select s.* from outbox.stored_event s where s.position = asked.position offset 0) e
order by e.position
