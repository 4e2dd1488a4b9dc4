-- One keeper of the pieces at a time. The lock goes with the session.
select pg_try_advisory_lock(122550254464889) as alone
