-- One transaction at a time per event: two streams of a group may carry the same id, recorded at different times, and the
-- inbox can only refuse what it sees. A statement of its own, so that the next one sees what was committed meanwhile.
-- In the order of the hashes, which is the order the locks have; equal hashes only wait for each other.
select count(pg_advisory_xact_lock(1868722546, claimed.hash)) as claimed
from (
    select distinct hashtext($1 || chr(31) || given.source || chr(31) || given.id) as hash
    from unnest($2::text[], $3::text[]) given (source, id)
    order by hash
) claimed
