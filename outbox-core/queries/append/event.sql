select outbox.append_event(
    $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::timestamptz,
    $8::text, $9::text, $10::text, $11::text, $12::text, $13::text, $14::text, $15::text::json, $16::text::json, $17::bytea
)
