-- The doorbell's condition is the function of the step before: a trigger's condition is kept as text and read anew in each statement, and this one is
-- short. A step of its own: a producer holds the view and comes to the log behind it, and a step that waited for both would wait for the producer
-- who waits for it.
drop trigger doorbell on outbox.log;
create trigger doorbell after insert on outbox.log for each statement when (outbox.must_ring()) execute function outbox.ring();
