-- Another generation ($2) of a projection is live.
update outbox.projection set generation = $2::integer where name = $1::text
