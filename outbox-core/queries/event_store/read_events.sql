-- A page across streams, from cursor $1 on (null: from the beginning), of categories $2 and types $3 (null: all), recorded until $4 (null:
-- now) and above position $5 (null: all), backward if $6; at most $7 events, of $8 bytes. The last row is no event: it has the cursor.
select page.position, page.recorded_at, page.stream, page.version, page.id, page.source, page.type, page.subject, page."time", page.data_content_type,
       page.data_schema, page.schema_version, page.correlation_id, page.causation_id, page.traceparent, page.tracestate,
       page.extensions::text as extensions, page.tags, page.topic, page.data::text as data, page.data_binary, page.archived,
       page.next_cursor, page.at_end
from outbox.read_events($1::text, $2::text[], $3::text[], $4::timestamptz, $5::bigint, $6::boolean, $7::integer, $8::bigint) page
