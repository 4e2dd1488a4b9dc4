-- A process ends, and no longer counts where partitions are shared out.
delete from outbox.subscription_member where subscription = $1::text and generation = $2::integer and member = $3::text
