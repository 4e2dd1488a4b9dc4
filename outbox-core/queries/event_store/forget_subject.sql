-- Destroys the key of a subject ($1), because of $2.
select outbox.forget_subject($1::text, $2::text) as key_id
