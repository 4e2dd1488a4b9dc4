-- Events that were appended by the transactions $2, which applied the event $1, and name it as their cause.
select known.at, known.step, known.detail::text as detail from outbox.trace_caused($1::text, $2::bigint[]) known
