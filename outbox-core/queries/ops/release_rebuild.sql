-- Has a rebuild of a projection ($1) that is held tried again, because of $2; with $3 differences are accepted.
select outbox.release_rebuild($1::text, $2::text, $3::boolean)
