-- The last position that was drawn. In a statement of its own, before the transaction has an id: what it is for is told in
-- checkpoint.rs.
select case when is_called then last_value else 0 end as drawn from outbox.log_position
