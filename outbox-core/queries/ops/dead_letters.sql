-- What waits for a person at consumers, by what went wrong; never what handlers said.
select row_to_json(shown)::text
from (
    select consumer, fingerprint, type, error_class, error_kind, letters as events, keys, waiting_events, first_dead_at as first_at,
           last_dead_at as last_at
    from outbox_ops.dead_letter_groups order by letters desc, last_dead_at desc limit 100
) shown
