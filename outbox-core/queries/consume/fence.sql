-- Whether the lease holds, until the applying transaction ends: a takeover wants the row for update and waits for that. Who holds it
-- claims the events ($4, $5), in the order of their hashes, which is the order that the locks have; equal hashes only wait for each
-- other. One transaction at a time per event: two streams of a group may carry the same id, recorded at different times, and the inbox
-- can only refuse what it sees. A statement before the one that enters them, so that this sees what was committed meanwhile.
-- An entry is acknowledged after the commit, so the commit must be one that a crash does not undo.
with lease as materialized (
    select pg_backend_pid() as backend
    from outbox.consumer_lease
    where consumer = $1 and stream = $2 and epoch = $3 and expires_at > clock_timestamp()
    for key share
)
select lease.backend,
       (select count(pg_advisory_xact_lock(1868722546, claimed.hash))
        from (
            select distinct hashtext($1 || chr(31) || given.source || chr(31) || given.id) as hash
            from unnest($4::text[], $5::text[]) given (source, id)
            order by hash
        ) claimed),
       case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', true) end
from lease
