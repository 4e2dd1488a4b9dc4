select is_known, extract(epoch from forgotten_until)::double precision as forgotten_until, parked_keys,
       extract(epoch from clock_timestamp())::double precision as now
from outbox.preview_seek($1, $2)
