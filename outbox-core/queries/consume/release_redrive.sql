-- Puts back as many dead letters of a redrive as its rate allows by now. Of two members at once one does it.
select outbox.release_redrive_items($1)
