insert into outbox.outgoing_if_plain (id, topic, key, type, source, schema_version, correlation_id, causation_id, traceparent, tracestate, data)
values ($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::text, $10::text, $11::json)
