-- Keeps a refusal: $1 its word, $2 what was seen, $3 epoch of the leader. Once, however many find the same.
with flushed as materialized (
    select set_config('synchronous_commit', 'on', true)
)
insert into outbox.refusal (code, said, epoch)
select $1::text, $2::text, $3::bigint from flushed
where not exists (select from outbox.refusal open where open.closed_at is null and open.code = $1::text and open.said = $2::text)
returning number
