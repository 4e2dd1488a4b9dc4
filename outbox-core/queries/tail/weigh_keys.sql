-- How many partitions the topics have that have several, by name; null where no topic has. Fails (OB428) if one should have more than it has.
-- And how many bytes a table of their keys grows by for each of their rows above a position, by the first ten thousand of them that lie there:
-- as often as a key comes once in these, the next row has one that was not there. A line takes the longest key and two hundred bytes. Null where
-- there are no such rows.
-- $1 the position.
with laid as materialized (
    select case when exists (select from outbox.topic t where t.partitions > 1) then outbox.layouts_in_force() -> 'partitions' end as layouts
)
select laid.layouts::text as layouts, (
           select count(*) filter (where found.key is not null and found.rows = 1) * (200 + max(octet_length(found.key))) / sum(found.rows)::float8
           from (
               select sample.key, count(*) as rows
               from (
                   select l.key from outbox.log l
                   where l.retention in ('standard', 'audit') and l.position > $1::bigint and laid.layouts is not null and laid.layouts ? l.topic
                   limit 10000
               ) sample
               group by sample.key
           ) found
       ) as key_bytes
from laid
