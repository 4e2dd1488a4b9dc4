-- The rows of topics with partitions, counted by partition, where most of a backlog was counted before, as it lies: of the classes that pass only
-- those that are not above `far`. Null: all of them. Arms as in the statement that cuts, so that pieces above are not looked at.
create function outbox.partition_shares(xmax text, open text[], layouts jsonb, floor bigint, far bigint) returns table (
    topic text, partition integer, event_count bigint, first_position bigint, last_position bigint, first_new_position bigint
)
language plpgsql stable rows 8 set search_path = pg_catalog, pg_temp set jit = off set enable_seqscan = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan as $$
declare
    through bigint := coalesce(far, 9223372036854775807);
begin
    return query
        select arrived.topic, 1 + outbox.partition_of(coalesce(arrived.key, arrived.id::text), (layouts -> 'partitions' ->> arrived.topic)::integer),
               count(*), min(arrived.position), max(arrived.position), min(arrived.position) filter (where arrived.is_new)
        from (
            select l.topic, l.key, l.id, l.position, true as is_new from outbox.log l
            where l.transaction_id >= partition_shares.xmax::xid8 and l.position > floor
              and l.retention in ('standard', 'audit') and l.position <= through
            union all
            select l.topic, l.key, l.id, l.position, true from outbox.log l
            where l.transaction_id >= partition_shares.xmax::xid8 and l.position > floor and l.retention not in ('standard', 'audit')
            union all
            select l.topic, l.key, l.id, l.position, false from outbox.log l
            where l.transaction_id = any(open::xid8[]) and l.position > floor
              and l.retention in ('standard', 'audit') and l.position <= through
            union all
            select l.topic, l.key, l.id, l.position, false from outbox.log l
            where l.transaction_id = any(open::xid8[]) and l.position > floor and l.retention not in ('standard', 'audit')
        ) arrived
        where layouts -> 'partitions' ? arrived.topic
        group by 1, 2;
end
$$;
alter function outbox.partition_shares(text, text[], jsonb, bigint, bigint) owner to outbox_maintainer;
revoke execute on function outbox.partition_shares(text, text[], jsonb, bigint, bigint) from public;
grant execute on function outbox.partition_shares(text, text[], jsonb, bigint, bigint) to outbox_relay;
