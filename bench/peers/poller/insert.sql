insert into outbox (key, data) values ($1, $2)
