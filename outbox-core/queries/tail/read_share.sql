-- The next rows of one stream's share of a batch, in order of position. Which rows these are never changes, however
-- often and by whomever they are read: the batch is what is visible in its snapshot ($7) and was not in the one before.
-- A late row may be far behind the others: its arm must go by the index on transactions and not by the one on positions,
-- where everything published in between would be passed over. So its conditions are written as only the former can use them.
-- A payload of more than $9 bytes is left out, and the row says how many it has: so the statement is bounded by its rows alone, without
-- a sum over them, which costs as much as reading them. Where one was left out, read_wide_share.sql reads instead.
-- $1 topic, $2 after this position, $3 last position of the share, $4 first position of new transactions,
-- $5 xmax of the snapshot before, $6 transactions open in it, $7 snapshot of the batch, $8 up to so many rows, $9 bytes of one payload.
(
    select l.position, l.key, l.id, l.source, l.type, l.subject, l.time, l.recorded_at, l.data_content_type,
           l.data_schema, l.schema_version, l.correlation_id, l.causation_id, l.traceparent, l.tracestate,
           l.extensions::text as extensions, case when octet_length(l.data) <= $9::integer then l.data end as data,
           case when octet_length(l.data_binary) <= $9::integer then l.data_binary end as data_binary,
           case when octet_length(l.data) > $9::integer or octet_length(l.data_binary) > $9::integer then true end as is_wide
    from outbox.log l
    where l.topic = $1::text and l.position > greatest($2::bigint, $4::bigint - 1) and l.position <= $3::bigint
      and l.transaction_id >= $5::text::xid8 and pg_visible_in_snapshot(l.transaction_id, (select $7::text::pg_snapshot))
    order by l.position
    limit $8::bigint
)
union all
(
    select late_row.*
    from unnest($6::text[]::xid8[]) late (transaction_id)
    cross join lateral (
        select l.position, l.key, l.id, l.source, l.type, l.subject, l.time, l.recorded_at, l.data_content_type,
               l.data_schema, l.schema_version, l.correlation_id, l.causation_id, l.traceparent, l.tracestate,
               l.extensions::text as extensions, case when octet_length(l.data) <= $9::integer then l.data end as data,
               case when octet_length(l.data_binary) <= $9::integer then l.data_binary end as data_binary,
               case when octet_length(l.data) > $9::integer or octet_length(l.data_binary) > $9::integer then true end as is_wide
        from outbox.log l
        where (l.transaction_id, l.position) > (late.transaction_id, $2::bigint)
          and (l.transaction_id, l.position) <= (late.transaction_id, $3::bigint)
          and l.topic || '' = $1::text and pg_visible_in_snapshot(l.transaction_id, (select $7::text::pg_snapshot))
        order by l.transaction_id, l.position
        limit $8::bigint
    ) late_row
)
order by position
limit $8::bigint
