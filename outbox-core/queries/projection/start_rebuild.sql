-- An ordered rebuild has its tables.
update outbox.projection_rebuild set state = 'building', started_at = clock_timestamp()
where number = $1::bigint and (state = 'ordered' or state = 'building' and started_at is null)
