-- Gives the doorbell's lock back: from now on appenders do not ring.
select pg_advisory_unlock(122550254464888) as was_asleep
