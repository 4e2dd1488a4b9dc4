-- Whose log this is: as the leader names itself at the sink, and the writer in whose streams its events are.
select settings.writer, settings.database_id::text || '/' || (select oid from pg_catalog.pg_database where datname = current_database()) as database_id
from outbox.settings settings
