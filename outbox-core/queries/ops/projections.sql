-- Projections and the newest rebuild of each; of one ($1), or of all.
select row_to_json(shown)::text
from (
    select projection, kind, generation, state, lag_events, rebuild, rebuild_state, rebuild_generation, rebuild_reason, rebuild_actor,
           rebuild_ordered_at, rebuild_finished_at, rebuilt_events, rebuilt_share, rebuilt_per_second, rebuild_left_seconds, rebuild_said,
           rebuild_state in ('building', 'held') and exists (
               select from outbox_ops.subscriptions s
               where s.subscription = p.projection and s.generation = p.rebuild_generation and s.state = 'paused') as rebuild_paused
    from outbox_ops.projections p where $1::text is null or projection = $1 order by projection limit 1000
) shown
