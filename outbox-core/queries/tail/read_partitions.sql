-- As read_share.sql, but only rows of some partitions of the topic: for streams that are behind the others. A statement of its
-- own, because asking each row for its partition costs about as much as reading it, and a topic without partitions pays nothing.
-- $1 topic, $2 after this position, $3 last position, $4 first position of new transactions, $5 xmax of the snapshot before,
-- $6 transactions open in it, $7 snapshot of the batch, $8 up to so many rows, $9 and bytes, $10 number of partitions,
-- $11 those that are wanted.
select row.position, row.topic, row.key, row.id, row.source, row.type, row.subject, row.time, row.recorded_at, row.data_content_type,
       row.data_schema, row.schema_version, row.correlation_id, row.causation_id, row.traceparent, row.tracestate,
       row.extensions::text as extensions, row.data, row.data_binary
from (
    select merged.*, sum(merged.bytes) over (order by merged.position rows unbounded preceding) as bytes_so_far
    from (
        (
            select l.*, coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
            from outbox.log l
            where l.topic = $1::text and l.position > greatest($2::bigint, $4::bigint - 1) and l.position <= $3::bigint
              and l.transaction_id >= $5::text::xid8 and pg_visible_in_snapshot(l.transaction_id, (select $7::text::pg_snapshot))
              and outbox.partition_of(coalesce(l.key, l.id::text), $10::integer) = any($11::integer[])
            order by l.position
            limit $8::bigint
        )
        union all
        (
            select late_row.*
            from unnest($6::text[]::xid8[]) late (transaction_id)
            cross join lateral (
                select l.*, coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
                from outbox.log l
                where (l.transaction_id, l.position) > (late.transaction_id, $2::bigint)
                  and (l.transaction_id, l.position) <= (late.transaction_id, $3::bigint)
                  and l.topic || '' = $1::text and pg_visible_in_snapshot(l.transaction_id, (select $7::text::pg_snapshot))
                  and outbox.partition_of(coalesce(l.key, l.id::text), $10::integer) = any($11::integer[])
                order by l.transaction_id, l.position
                limit $8::bigint
            ) late_row
        )
        order by position
        limit $8::bigint
    ) merged
) row
where row.bytes_so_far - row.bytes < $9::bigint
order by row.position
