-- Two members that need the same day at the same moment: the one that waits asks again when it has the lock. It asked by a name, and what a session
-- knows of names it may know from before it waited; so the day was made twice, and the second one failed (`relation … already exists`). Asked is
-- now what is committed.
create or replace function outbox.add_inbox_day(moment timestamptz) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
    set lock_timeout = '5s'
    as $$
declare
    day date := (moment at time zone 'UTC')::date;
    name text := 'inbox_' || to_char(day, 'YYYYMMDD');
begin
    if day not between date '2000-01-01' and date '2999-12-31' then
        raise exception 'no day is made for %: it lies outside the years 2000 to 2999', moment using errcode = 'invalid_parameter_value';
    end if;
    if exists (select from pg_inherits where inhparent = 'outbox.inbox'::regclass and inhrelid = to_regclass('outbox.' || name)) then
        return;
    end if;
    perform pg_advisory_xact_lock(122550254464890);
    if exists (select from pg_inherits part join pg_class made on made.oid = part.inhrelid
               where part.inhparent = 'outbox.inbox'::regclass and made.relname = name and made.relnamespace = 'outbox'::regnamespace) then
        return;
    end if;
    execute format('create table outbox.%I (like outbox.inbox including all)', name);
    execute format('alter table outbox.inbox attach partition outbox.%I for values from (%L) to (%L)',
        name, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
end
$$;
