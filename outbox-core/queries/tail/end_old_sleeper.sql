-- Ends the session of a former leader that still holds the doorbell's lock, asleep or stopped.
select pg_terminate_backend(lock.pid)
from pg_catalog.pg_locks lock
where lock.locktype = 'advisory' and lock.granted and lock.mode = 'ExclusiveLock' and lock.objsubid = 1
  and lock.database = (select oid from pg_catalog.pg_database where datname = current_database())
  and (lock.classid::bigint << 32) | lock.objid::bigint = 122550254464888
  and lock.pid <> pg_backend_pid()
