-- A page of the events of condition $1 (JSON), from cursor $2 on (null: from the beginning); at most $3 events, of $4 bytes. The last row is no
-- event: it has the cursor.
select page.position, page.recorded_at, page.stream, page.version, page.id, page.source, page.type, page.subject, page."time", page.data_content_type,
       page.data_schema, page.schema_version, page.correlation_id, page.causation_id, page.traceparent, page.tracestate,
       page.extensions::text as extensions, page.tags, page.topic, page.data::text as data, page.data_binary, page.archived,
       page.next_cursor, page.at_end
from outbox.read_tagged($1::text::json, $2::text, $3::integer, $4::bigint) page
