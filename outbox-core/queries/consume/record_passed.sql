-- How far the stream came, apart from the transactions that brought it there. Under the lease, and durable: entries are
-- acknowledged by it. No row: the lease is another's.
with lease as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit') when 'off' then 'on'
                                            else current_setting('synchronous_commit') end, true)
    from outbox.consumer_lease
    where consumer = $1 and stream = $2 and epoch = $3 and expires_at > clock_timestamp()
    for key share
), moved as (
    insert into outbox.consumer_stream as known (consumer, stream, passed_batch, passed_position)
    select $1, $2, $4::numeric, $5::numeric
    from lease
    on conflict (consumer, stream) do update
    set passed_batch = excluded.passed_batch,
        passed_position = excluded.passed_position,
        moved_at = clock_timestamp()
    where (excluded.passed_batch, excluded.passed_position) > (known.passed_batch, known.passed_position)
)
select count(*) = 1 from lease
