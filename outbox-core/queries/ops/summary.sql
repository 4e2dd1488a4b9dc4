-- Does work move, and if not, why.
select row_to_json(shown)::text
from (
    select as_of, verdict, reason, backlog, backlog_exact, extract(epoch from oldest_unpublished_age)::float8 as oldest_unpublished_age_seconds,
           leader, epoch, lease_expires_at, live_relays, topics_set_aside, topics_blocked, last_batch, last_batch_events, last_batch_at, events_skipped,
           notification_queue_usage
    from outbox_ops.summary
) shown
