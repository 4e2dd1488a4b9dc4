-- The topics seen so far.
select name from outbox.topic order by name limit 10000
