-- How long ids must be kept and are kept, in seconds (null for ever), and what makes the one and the other; and how many days
-- there are.
select extract(epoch from lowest.floor)::double precision as floor_seconds,
       lowest.reason,
       extract(epoch from kept.kept)::double precision as kept_seconds,
       settings.forced_reason is not null as is_forced,
       (select count(*) from pg_catalog.pg_inherits where inhparent = 'outbox.inbox'::pg_catalog.regclass) as days
from outbox.inbox_floor($1) lowest, outbox.inbox_kept() kept (kept), outbox.inbox_settings settings
