-- Orders a re-issue: topic, partition, from, to, whether only as a preview, why. Returns one number per stream.
select outbox.order_reissue($1, $2, $3, $4, $5, $6)
