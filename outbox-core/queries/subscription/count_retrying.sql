-- How many streams of a partition wait for their next attempt, counted up to $4.
select count(*) from (
    select from outbox.parked_stream
    where subscription = $1::text and generation = $2::integer and partition = $3::integer and state = 'retrying'
    limit $4::bigint
) counted
