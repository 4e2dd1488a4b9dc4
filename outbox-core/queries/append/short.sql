insert into outbox.outgoing_if_plain (id, topic, key, data) values ($1::uuid, $2::text, $3::text, $4::json)
