-- Up to $2 keys that another master key than $1 wraps.
select id, wrapped_key, master_key
from outbox.stale_subject_keys($1::text, $2::integer)
