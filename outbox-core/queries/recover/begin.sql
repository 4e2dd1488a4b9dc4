-- Records that a recovery begins, before anything is changed. $1 strategy, $2 reason, $3 what was seen, as JSON.
insert into outbox.recovery (strategy, reason, found) values ($1::text, $2::text, $3::text::jsonb)
returning number, (select set_config('synchronous_commit', 'on', true)) as flushed
