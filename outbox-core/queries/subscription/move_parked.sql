-- Of a stream that waited, everything before version $4 is done now; what follows is tried at once. $5 the transaction that took the lease: a
-- handler may have ended it.
update outbox.parked_stream set version = $4::bigint, attempts = 0, state = 'retrying', retry_at = clock_timestamp()
where subscription = $1::text and generation = $2::integer and stream = $3::bigint
  and pg_current_xact_id_if_assigned()::text = $5::text
