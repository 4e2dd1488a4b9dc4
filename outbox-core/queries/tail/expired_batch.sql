-- The first batch that is younger than the longest finite retention in use and a day: what is below it is no longer needed
-- to publish anything again.
select coalesce(min(batch.number), 0) as number
from outbox.batch batch
where batch.cut_at > clock_timestamp() - interval '1 day' - (
    select coalesce(max(class.keep), interval '0')
    from outbox.retention_class class
    where exists (select from outbox.topic topic where topic.retention = class.name))
