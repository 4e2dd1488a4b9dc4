-- The doorbell's lock: held exclusively only while the leader sleeps. Fails while an appender is in flight.
select pg_try_advisory_lock(122550254464888) as asleep
