-- These keys ($1): without a wrapped key it was destroyed.
select id, wrapped_key, master_key
from outbox.read_subject_keys($1::uuid[])
