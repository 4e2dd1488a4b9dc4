-- A cursor behind everything that can be seen now.
select outbox.newest_cursor()
