select outbox.forget_inbox()
