-- Whether a projection's schema ($1) is there, and whether a subscription ($2, generation $3) has events behind it.
select to_regnamespace($1::text) is not null as has_schema,
       exists (select from outbox.subscription_checkpoint c where c.subscription = $2::text and c.generation = $3::integer and c.events > 0) as has_events
