-- A rebuild is live; $2 says what was compared. No row: somebody cancelled it.
update outbox.projection_rebuild set state = 'switched', finished_at = clock_timestamp(), said = $2::text
where number = $1::bigint and state = 'building'
returning number
