-- The numbers of the letters of a filter, from the one after $3 on.
select outbox.select_dead_letters($1::text::jsonb, $2, $3, $4)
