-- As text: the data is kept byte for byte.
select outbox.edit_dead_letter($1, $2::text::json, $3)
