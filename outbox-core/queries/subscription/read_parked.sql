-- The next event of a stream ($1) that waits, from version $2 on, which the checkpoint has passed: appended before its era (up to $3),
-- visible in `done` ($4, up to $5), or of the difference that is being worked through ($6 goal, up to $7). Of categories $8 and types $9
-- (null: all).
select e.position, e.recorded_at, e.stream_id, e.stream, e.version, e.id, e.source, e.type, e.subject, e."time", e.data_content_type, e.data_schema,
       e.schema_version, e.correlation_id, e.causation_id, e.traceparent, e.tracestate, e.extensions::text as extensions, e.tags, e.topic, e.data,
       e.data_binary, e.archived
from outbox.stored_event e
where e.stream_id = $1::bigint and e.version >= $2::bigint
  and (e.position <= $3::bigint
       or e.position <= $5::bigint and pg_visible_in_snapshot(e.transaction_id, $4::text::pg_snapshot)
       or e.position <= $7::bigint and pg_visible_in_snapshot(e.transaction_id, $6::text::pg_snapshot))
  and ($8::text[] is null or e.category_id = any(array(select k.id from outbox.category k where k.name = any($8::text[]))))
  and ($9::text[] is null or e.type = any($9::text[]))
order by e.version
limit 1
