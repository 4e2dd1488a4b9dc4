select outbox.ensure_inbox_day($1)
