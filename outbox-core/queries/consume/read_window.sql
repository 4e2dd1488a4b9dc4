-- How long ids must be kept and are kept, in seconds (null for ever), and what makes the one and the other.
select extract(epoch from lowest.floor)::double precision as floor_seconds,
       lowest.reason,
       extract(epoch from kept.kept)::double precision as kept_seconds,
       settings.forced_reason is not null as is_forced
from outbox.inbox_floor($1) lowest, outbox.inbox_kept() kept (kept), outbox.inbox_settings settings
