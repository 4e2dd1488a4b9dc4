insert into outbox.consumer_lease (consumer, stream)
select $1, added.stream from unnest($2::text[]) added (stream)
on conflict do nothing
