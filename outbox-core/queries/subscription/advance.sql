-- How far a partition is, in the transaction of its handler. $4 era, $5 done, $6 its floor, $7 through where, $8 goal (null: none), $9
-- and $10 its floor and through where, $11 position within the difference, $12 the last position drawn before this transaction,
-- $13 events more, $14 when the newest of them was recorded, $15 the transaction that took the lease: a handler may have ended it, and
-- begun another, which holds nothing.
update outbox.subscription_checkpoint
set era = $4::integer, done = $5::text::pg_snapshot, done_floor = $6::bigint, done_through = $7::bigint,
    goal = $8::text::pg_snapshot, goal_floor = $9::bigint, goal_through = $10::bigint, after_position = $11::bigint,
    drawn = $12::bigint, events = events + $13::bigint, last_recorded_at = coalesce($14::timestamptz, last_recorded_at),
    moved_at = clock_timestamp()
where subscription = $1::text and generation = $2::integer and partition = $3::integer
  and pg_current_xact_id_if_assigned()::text = $15::text
