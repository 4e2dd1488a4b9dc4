-- Relay processes, those that live first.
select row_to_json(shown)::text
from (
    select instance, host, process_id, version, started_at, seen_at, live, state, reason, leases
    from outbox_ops.relays order by seen_at desc limit 20
) shown
