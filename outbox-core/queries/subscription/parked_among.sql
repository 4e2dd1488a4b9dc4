-- Which of these streams ($3) wait for something that failed.
select stream from outbox.parked_stream where subscription = $1::text and generation = $2::integer and stream = any($3::bigint[])
