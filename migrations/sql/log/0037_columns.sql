-- The checks become the columns' own, which costs an append nothing. They were looked at: no row is read here.

do $$
declare
    class text;
    orphan regclass;
begin
    foreach class in array array['log_standard', 'log_audit', 'log_durable'] loop
        if (select c.convalidated from pg_catalog.pg_constraint c
            where c.conrelid = ('outbox.' || class)::regclass and c.conname = 'topic_is_there') then
            -- Pieces that upkeep has taken off, and may put back.
            for orphan in
                select o.oid from pg_catalog.pg_class o
                where o.relnamespace = 'outbox'::regnamespace and o.relkind = 'r' and not o.relispartition and o.relname ~ ('^' || class || '_from_[0-9]+$')
            loop
                execute format('alter table %s alter column topic set not null', orphan);
            end loop;
            execute format('alter table outbox.%I alter column topic set not null', class);
        end if;
        execute format('alter table outbox.%I drop constraint topic_is_there', class);
    end loop;
    if (select bool_and(c.convalidated) from pg_catalog.pg_constraint c
        where c.conrelid = 'outbox.log_stream'::regclass and c.conname in ('version_is_there', 'stream_is_counted')) then
        alter table outbox.log_stream alter column stream set not null, alter column version set not null, alter column category set not null;
        alter table outbox.log_stream drop constraint stream_is_counted;
    end if;
    alter table outbox.log_stream drop constraint version_is_there;
end
$$;
