-- $1 name, $2 records, $3 their digest, $4 events appended, $5 lines skipped.
update outbox_import.progress
set records = $2, digest = $3, events = events + $4, skipped = skipped + $5, moved_at = clock_timestamp()
where name = $1
