-- Writes the operation; the members of the group carry it out.
select outbox.redrive($1::text::jsonb, $2, $3, $4)
