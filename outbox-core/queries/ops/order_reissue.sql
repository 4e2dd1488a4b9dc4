-- Orders a re-issue: topic, partition, from, to, whether only as a preview, why. Returns one number per stream. The notification wakes
-- the leader, which would find them with the next renewal of its lease.
with ordered as materialized (
    select outbox.order_reissue($1, $2, $3, $4, $5, $6) as number
), told as materialized (
    select pg_catalog.pg_notify('outbox_lease', '')
)
select ordered.number from ordered, told order by ordered.number
