-- Tags that a migration left out of their index, put in.

-- Stored events whose tags are not all in their index. A step of the migrations made it and looked behind a lock at what had been appended
-- meanwhile: under a default of REPEATABLE READ it did not see that.
create function outbox.find_untagged() returns table ("position" bigint, tag text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select l.position, t.tag
    from outbox.log l cross join lateral (select distinct u.tag from unnest(l.tags) u (tag)) t
    where l.retention in ('stream', 'archive') and l.tags is not null
      and not exists (select from outbox.event_tag known where known.tag = t.tag and known.position = l.position)
$$;

-- Where nothing is missing this reads the stored events once, and waits for nobody.
do $$
declare
    missing constant bigint[] := array(select distinct u.position from outbox.find_untagged() u);
begin
    if cardinality(missing) > 0 then
        -- None of them is removed or moved meanwhile.
        lock table outbox.log_stream, outbox.log_archive in share row exclusive mode;
        insert into outbox.event_tag (position, transaction_id, tag, type)
        select l.position, l.transaction_id, t.tag, l.type
        from outbox.log l cross join lateral (select distinct u.tag from unnest(l.tags) u (tag)) t
        where l.retention in ('stream', 'archive') and l.stream is not null and l.position = any(missing)
        on conflict do nothing;
    end if;
end
$$;

do $$
begin
    alter function outbox.find_untagged owner to outbox_maintainer;
    revoke execute on function outbox.find_untagged from public;
end
$$;
grant execute on function outbox.find_untagged to outbox_reader;
