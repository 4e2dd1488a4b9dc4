-- A subscription of few categories that has far to go finds their events by index, and does not look at those of all others.

-- The first arm of a page of a difference, of some categories: rows visible in `goal` that lie above `after` and not above `through`, of transactions
-- at or above `first` or above position `beyond`, the `max` first ones in order of position. Each category is read in that order by its own
-- index, and no further: so the first `max` of all of them are among what is read.
create function outbox.new_of_categories(
    categories text[], after bigint, through bigint, first xid8, beyond bigint, goal pg_snapshot, max bigint
) returns table ("position" bigint, stream_id bigint, type text, bytes integer)
language plpgsql stable set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off as $$
#variable_conflict use_column
begin
    return query
        select found.position, found.stream_id, found.type, found.bytes
        from unnest(array(select k.id from outbox.category k where k.name = any (new_of_categories.categories))) wanted (category_id)
        cross join lateral (
            select l.position, l.stream_id, l.type, coalesce(octet_length(l.data), octet_length(l.data_binary), 0) + 512 as bytes
            from outbox.stored_event l
            -- Of one category, and so that no index but that of categories has their order.
            where (l.category_id, l.position) > (wanted.category_id, new_of_categories.after)
              and (l.category_id, l.position) <= (wanted.category_id, new_of_categories.through)
              and (l.transaction_id >= new_of_categories.first or l.position > new_of_categories.beyond)
              and pg_visible_in_snapshot(l.transaction_id, new_of_categories.goal)
            order by l.category_id, l.position
            limit new_of_categories.max
        ) found
        order by found.position
        limit new_of_categories.max;
end
$$;

do $$
begin
    alter function outbox.new_of_categories owner to outbox_maintainer;
    revoke execute on function outbox.new_of_categories from public;
end
$$;
grant execute on function outbox.new_of_categories to outbox_subscriber;
