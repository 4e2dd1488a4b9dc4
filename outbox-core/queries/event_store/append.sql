-- Appends to streams, all or nothing; what each answer means is told where the function is. $1 streams, $2 the versions expected of
-- them, $3 the stream of each event, and then the columns of the events.
select number, outcome, version, positions
from outbox.append_to_streams(
    $1::text[], $2::bigint[], $3::integer[],
    $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::text[],
    $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::bytea[], $20::text[])
order by number
