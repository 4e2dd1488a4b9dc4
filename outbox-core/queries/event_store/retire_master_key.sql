-- Retires a master key by its name ($1), because of $2: how many keys it still wraps.
select outbox.retire_master_key($1::text, $2::text) as keys
