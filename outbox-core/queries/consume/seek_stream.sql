select outbox.seek_stream($1, $2, $3, $4::numeric, $5::numeric, $6::numeric, $7::numeric, $8, $9)
