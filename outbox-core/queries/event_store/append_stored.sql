-- One event for one stream: its version and position. Null: nothing was appended, and append.sql says why, or appends it.
select outbox.append_stored($1::text, $2::bigint, $3::uuid, $4::text, $5::text, $6::text, $7::text, $8::text, $9::text, $10::text, $11::text::json)
