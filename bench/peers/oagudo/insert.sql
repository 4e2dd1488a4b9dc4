-- What its writer inserts; the time is that of the insert, as with the service's clock.
insert into outbox (id, created_at, scheduled_at, metadata, payload, times_attempted)
values (
    gen_random_uuid(), clock_timestamp(), clock_timestamp(), convert_to($1::text, 'UTF8'), convert_to($2::text, 'UTF8'), 0
)
