-- A page of a difference: rows visible in the goal ($5) and not done, in order of position. Two arms, an index each: transactions that
-- had not begun when `done` was taken (xmax $1; by position, above $4), and those that were open in it ($2; by transaction). By
-- category ($15), the first arm does not look at events of others: for who has far to go.
-- Where a new era is entered, rows above $3 are not done either, whatever their transaction ids are; elsewhere it is the highest number.
-- Behind position $6, up to $7. Of categories $8 and types $9 (null: all), streams of partition $10 of $11. At most $12 rows are looked
-- at, and $13 returned, of $14 bytes, but one at least. One row comes always: it says how far was looked, and whether that was all.
with scanned as materialized (
    select merged.*
    from (
        (
            select l.position, l.stream_id % $11::integer = $10::integer
                       and ($8::text[] is null or l.category_id = any(array(select k.id from outbox.category k where k.name = any($8::text[]))))
                       and ($9::text[] is null or l.type = any($9::text[])) as is_wanted,
                   coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
            from outbox.stored_event l
            where l.position > greatest($6::bigint, $4::bigint) and l.position <= $7::bigint
              and (l.transaction_id >= $1::text::xid8 or l.position > $3::bigint)
              and pg_visible_in_snapshot(l.transaction_id, (select $5::text::pg_snapshot))
              and not $15::boolean
            order by l.position
            limit $12::bigint
        )
        union all
        (
            select l.position, l.stream_id % $11::integer = $10::integer and ($9::text[] is null or l.type = any($9::text[])) as is_wanted, l.bytes
            from outbox.new_of_categories($8::text[], greatest($6::bigint, $4::bigint), $7::bigint, $1::text::xid8, $3::bigint,
                                          $5::text::pg_snapshot, $12::bigint) l
            where $15::boolean
        )
        union all
        (
            select late_row.*
            from unnest($2::text[]::xid8[]) late (transaction_id)
            cross join lateral (
                select l.position, l.stream_id % $11::integer = $10::integer
                           and ($8::text[] is null or l.category_id = any(array(select k.id from outbox.category k where k.name = any($8::text[]))))
                           and ($9::text[] is null or l.type = any($9::text[])) as is_wanted,
                       coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                from outbox.stored_event l
                where l.transaction_id = late.transaction_id and l.position > $6::bigint and l.position <= least($7::bigint, $3::bigint)
                  and pg_visible_in_snapshot(l.transaction_id, (select $5::text::pg_snapshot))
                order by l.transaction_id, l.position
                limit $12::bigint
            ) late_row
        )
        order by position
        limit $12::bigint
    ) merged
), wanted as (
    select s.position, row_number() over (order by s.position) as n, sum(s.bytes) over (order by s.position) - s.bytes as bytes_before
    from scanned s
    where s.is_wanted
), cut as (
    -- The first that has no room: the next page begins with it.
    select min(w.position) as position from wanted w where w.n > $13::bigint or w.bytes_before >= $14::bigint
), looked as materialized (
    select (select max(s.position) from scanned s where cut.position is null or s.position < cut.position) as last_position,
           cut.position is null and (select count(*) from scanned) < $12::bigint as is_all
    from cut
)
select looked.last_position, looked.is_all, e.position, e.recorded_at, e.stream_id, e.stream, e.version, e.id, e.source, e.type, e.subject, e."time",
       e.data_content_type, e.data_schema, e.schema_version, e.correlation_id, e.causation_id, e.traceparent, e.tracestate,
       e.extensions::text as extensions, e.tags, e.topic, e.data, e.data_binary, e.archived
from looked
left join (
    wanted w
    -- One by one, by index, however many the planner expects.
    cross join lateral (select s.* from outbox.stored_event s where s.position = w.position offset 0) e
) on w.n <= $13::bigint and w.bytes_before < $14::bigint
order by w.position
