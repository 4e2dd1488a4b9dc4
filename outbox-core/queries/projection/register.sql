-- A projection ($1) of a kind ($2), if it is not there.
insert into outbox.projection (name, kind) values ($1::text, $2::text) on conflict do nothing
