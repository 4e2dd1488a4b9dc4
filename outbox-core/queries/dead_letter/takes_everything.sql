-- Whether a filter leaves no dead letter out.
select outbox.takes_everything($1::text::jsonb)
