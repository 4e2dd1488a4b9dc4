-- The newest operations with their progress.
select row_to_json(shown)::text from (select * from outbox_ops.operations order by number desc limit $1) shown
