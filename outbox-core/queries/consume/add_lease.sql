insert into outbox.consumer_lease (consumer, stream) values ($1, $2) on conflict do nothing
