-- What the log, the ledger and the publisher know of the event $1.
select known.at, known.step, known.detail::text as detail from outbox.trace_log($1::uuid) known
