-- What the relay says of these streams now. In one order: other members write the same rows.
insert into outbox.stream_mark (consumer, stream, retention_seconds, published_batch)
select $1, given.stream, given.retention_seconds, given.published_batch::numeric
from unnest($2::text[], $3::bigint[], $4::text[]) given (stream, retention_seconds, published_batch)
order by given.stream
on conflict (consumer, stream) do update
set retention_seconds = excluded.retention_seconds,
    published_batch = excluded.published_batch,
    seen_at = clock_timestamp()
