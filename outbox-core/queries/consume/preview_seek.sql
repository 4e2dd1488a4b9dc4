select is_known, extract(epoch from forgotten_until)::double precision as forgotten_until, parked_keys
from outbox.preview_seek($1, $2)
