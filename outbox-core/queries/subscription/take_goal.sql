-- What this statement sees, and a position that none of it lies above: it is read after the snapshot was taken.
select pg_current_snapshot()::text as goal, case when is_called then last_value else 0 end as through from outbox.log_position
