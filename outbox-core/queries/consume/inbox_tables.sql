select name, pages from outbox.inbox_tables()
