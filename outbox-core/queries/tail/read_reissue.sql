-- The next rows of a re-issue's share, in order of position: those of read_share.sql, with its conditions written the same
-- way, between the snapshot before the entry that was kept and that of the re-issue, but for what stands at or before the
-- entry that was kept ($10 snapshots, of each of which only what is above the position $11), and what a person gave up; of the
-- $12 partitions of the topic only $13, or all if that is null. Up to position $14 everything was appended before the era in which the
-- re-issue was cut, and is committed or gone, whatever its transaction ids are.
-- $1 topic, $2 after this position, $3 last position of the share, $4 first position of new transactions,
-- $5 xmax of the snapshot before, $6 transactions open in it, $7 snapshot of the batch, $8 up to so many rows, $9 and bytes.
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
              and l.transaction_id >= $5::text::xid8
              and (l.position <= $14::bigint or pg_visible_in_snapshot(l.transaction_id, (select $7::text::pg_snapshot)))
              and ($13::integer[] is null or outbox.partition_of(coalesce(l.key, l.id::text), $12::integer) = any($13::integer[]))
              and not exists (select from unnest($10::text[], $11::bigint[]) passed (snapshot, position)
                              where l.position <= passed.position and pg_visible_in_snapshot(l.transaction_id, passed.snapshot::pg_snapshot))
              and not exists (select from outbox.unpublished u where u.position = l.position)
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
                  and ($13::integer[] is null or outbox.partition_of(coalesce(l.key, l.id::text), $12::integer) = any($13::integer[]))
                  and not exists (select from unnest($10::text[], $11::bigint[]) passed (snapshot, position)
                                  where l.position <= passed.position and pg_visible_in_snapshot(l.transaction_id, passed.snapshot::pg_snapshot))
                  and not exists (select from outbox.unpublished u where u.position = l.position)
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
