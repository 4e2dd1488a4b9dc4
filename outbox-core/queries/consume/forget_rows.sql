-- Up to so many of each kind. Returns how many of the kind that had more.
select greatest(outbox.forget_keyed($1), outbox.forget_foreign($1))
