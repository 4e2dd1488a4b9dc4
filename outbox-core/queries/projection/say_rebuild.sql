-- What a rebuild ($1) that is being built waits for ($2; null: for nothing that a person could not see).
update outbox.projection_rebuild set said = $2::text
where number = $1::bigint and state = 'building' and said is distinct from $2::text
