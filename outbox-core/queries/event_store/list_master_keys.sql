-- How many keys of subjects each master key wraps.
select name, keys, first_used_at, retired_at
from outbox.master_keys()
