-- Held against everybody else who makes, switches or drops something of a projection, and against who applies it inline.
select generation from outbox.projection where name = $1::text for update
