-- Shows what a group asks for, and what became of it. $1 topic and $2 slot of the stream, $3 group, $4 key of the stream,
-- $5 epoch of the leader, $6 what is missing, $7 the first entry held, $8 the entry passed last, $9 since when in seconds,
-- $10 state, $11 why, $12 number of the re-issue. Written when it changes.
insert into outbox.hole as known (topic, partition, group_name, stream, epoch, missing, held, passed, since, state, reason, batch_number)
values ($1::text, $2::integer, $3::text, $4::text, $5::bigint, $6::text, $7::text, $8::text, to_timestamp($9::float8), $10::text, $11::text, $12::bigint)
on conflict (topic, partition, group_name) do update
set stream = excluded.stream, epoch = excluded.epoch, missing = excluded.missing, held = excluded.held, passed = excluded.passed,
    since = excluded.since, state = excluded.state, reason = excluded.reason, batch_number = excluded.batch_number,
    changed_at = clock_timestamp()
where known.epoch <= excluded.epoch
  and (known.missing, known.held, known.state, known.reason, known.batch_number)
      is distinct from (excluded.missing, excluded.held, excluded.state, excluded.reason, excluded.batch_number)
