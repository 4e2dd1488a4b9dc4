-- Ends the rebuild of a projection ($1), because of $2.
select outbox.cancel_rebuild($1::text, $2::text)
