insert into outbox.consumer_stream as known (consumer, stream, passed_batch, passed_position)
values ($1, $2, $3::numeric, $4::numeric)
on conflict (consumer, stream) do update
set passed_batch = excluded.passed_batch,
    passed_position = excluded.passed_position,
    moved_at = clock_timestamp()
where (excluded.passed_batch, excluded.passed_position) > (known.passed_batch, known.passed_position)
