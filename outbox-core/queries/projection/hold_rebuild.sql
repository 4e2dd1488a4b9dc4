-- A rebuild waits for a person: $2 says for what.
update outbox.projection_rebuild set state = 'held', said = $2::text where number = $1::bigint and state in ('ordered', 'building')
