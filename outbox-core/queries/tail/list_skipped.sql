-- Positions of events that a person took out of a topic: they were never on its streams.
select position from outbox.unpublished where topic = $1::text order by position limit 100000
