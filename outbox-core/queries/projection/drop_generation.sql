-- A generation of a subscription goes, with its checkpoints and leases.
delete from outbox.subscription where name = $1::text and generation = $2::integer
