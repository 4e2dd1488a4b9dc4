select writer from outbox.settings
