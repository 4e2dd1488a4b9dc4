-- Streams, one per order: versions without gaps, the first step first, times of the others never going back.
with step as (
    select stream, version, type, time, lag(version) over (partition by stream order by version) as before,
           lag(time) over (partition by stream order by version) as time_before
    from outbox.stored_event
), found as (
    select stream, bool_or(version <> coalesce(before, 0) + 1) or bool_or((version = 1) <> (type = 'order.placed'))
                   or bool_or(version > 2 and time < time_before and type not in ('order.processing', 'order.invoiced', 'order.unavailable', 'order.canceled')) as is_wrong
    from step group by stream
)
select count(o.order_id) as compared, count(*) filter (where f.stream is null or o.order_id is null or f.is_wrong) as different
from found f full join raw.orders o on 'order-' || o.order_id = f.stream
