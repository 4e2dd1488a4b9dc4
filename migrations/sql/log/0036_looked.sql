-- Looks at what is there, for the columns that may not be null any more. No append waits for it.

-- A row that breaks one was put there by hand. It can be neither changed nor removed: so the check is given up, with where to find it.
do $$
declare
    wanted record;
begin
    for wanted in
        select c.conrelid::regclass as class, c.conname as name
        from pg_catalog.pg_constraint c
        where c.conrelid in ('outbox.log_standard'::regclass, 'outbox.log_audit'::regclass, 'outbox.log_durable'::regclass, 'outbox.log_stream'::regclass)
          and c.conname in ('topic_is_there', 'version_is_there', 'stream_is_counted')
        order by 1, 2
    loop
        begin
            execute format('alter table %s validate constraint %I', wanted.class, wanted.name);
        exception
            when check_violation then
                raise warning '% has rows that break %: somebody inserted them by hand, and they are published nowhere', wanted.class, wanted.name
                    using hint = format('select position, recorded_at, id from %s where topic is null or (stream is not null and version is null);', wanted.class);
        end;
    end loop;
end
$$;
