-- Keeps the state of a stream ($1), of shape $2 in its version $3: from version $4 on to version $5 with event $6; $7 the state, $8 its digest.
select outbox.keep_snapshot($1::text, $2::text, $3::integer, $4::bigint, $5::bigint, $6::uuid, $7::text, $8::bytea)
