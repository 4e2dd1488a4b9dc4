select outbox.add_inbox_day($1)
