-- As append.sql, under a condition: $21 its items as JSON, $22 the cursor of the read that was decided on. A conflict because of it has the
-- position and type of the first event that the read did not see.
select number, outcome, version, positions, unseen_position, unseen_type
from outbox.append_to_streams_if(
    $1::text[], $2::bigint[], $3::integer[],
    $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::text[],
    $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::bytea[], $20::text[], $21::text::json, $22::text)
order by number
