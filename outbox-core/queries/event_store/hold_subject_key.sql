-- The key of a subject ($1), made of what is proposed if there is none: $2 its id, $3 the wrapped key, $4 the master key that wraps it.
select id, wrapped_key, master_key
from outbox.hold_subject_key($1::text, $2::uuid, $3::bytea, $4::text)
