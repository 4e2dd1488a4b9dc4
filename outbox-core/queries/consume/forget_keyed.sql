select outbox.forget_keyed($1)
