-- Unregisters a group from a topic's streams. Returns from how many.
select outbox.forget_group($1, $2, $3)
