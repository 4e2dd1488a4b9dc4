-- Taking another master key: which keys of subjects each one wraps can be seen, and one that is retired wraps none any more, whatever
-- process still has it.

-- Master keys by the names that services give them; the keys themselves never come here. The row is the lock: whoever wraps with a master
-- key holds it shared, who retires it alone.
create table outbox.master_key (
    name text primary key check (octet_length(name) between 1 and 200),
    first_used_at timestamptz not null default clock_timestamp(),
    retired_at timestamptz,
    retired_by text,
    reason text check (reason <> ''),
    constraint retired_by_somebody check ((retired_at is null) = (retired_by is null) and (retired_at is null) = (reason is null))
);
comment on table outbox.master_key is 'Names of master keys that wrapped keys of subjects, and when each was retired: from then on it wraps none.';

create function outbox.refuse_retired_master() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    since timestamptz;
begin
    insert into outbox.master_key (name) values (new.master_key) on conflict do nothing;
    -- Held until this transaction ends. One that was retired since this transaction began is an error of its own under one snapshot.
    select m.retired_at into since from outbox.master_key m where m.name = new.master_key for share;
    if since is not null then
        raise exception 'master key % was retired at %: it wraps no key of a subject any more', quote_literal(new.master_key), since
            using errcode = 'object_not_in_prerequisite_state',
                  hint = 'This process has an old keyring: give it the present master key, and the old one with_older while keys are wrapped anew.';
    end if;
    return new;
end
$$;
create trigger master_is_not_retired before insert or update of wrapped_key, master_key on outbox.subject_key
    for each row when (new.wrapped_key is not null) execute function outbox.refuse_retired_master();
insert into outbox.master_key (name) select distinct k.master_key from outbox.subject_key k on conflict do nothing;

-- A master key wraps nothing from here on. Who is wrapping with it is waited for, so that what is counted afterwards stays so. Returns how many keys
-- it still wraps: have them wrapped anew (event_store::forget::rewrap_keys) before it is destroyed.
create function outbox.retire_master_key(name text, reason text) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if coalesce(btrim(reason), '') = '' then
        raise exception 'a reason must be given: it stays in outbox.master_key' using errcode = 'invalid_parameter_value';
    elsif current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        -- Whom it waits for would not be counted.
        raise exception 'refused: a master key is retired in READ COMMITTED transactions, and this one is %', upper(current_setting('transaction_isolation'))
            using errcode = 'feature_not_supported';
    end if;
    update outbox.master_key m set retired_at = clock_timestamp(), retired_by = session_user, reason = retire_master_key.reason
    where m.name = retire_master_key.name and m.retired_at is null;
    if not found and not exists (select from outbox.master_key m where m.name = retire_master_key.name) then
        raise exception 'no key of a subject was ever wrapped with master key %', quote_literal(name) using errcode = 'no_data_found',
              hint = 'outbox.master_keys() has those that were.';
    end if;
    return (select count(*) from outbox.subject_key k where k.master_key = retire_master_key.name and k.wrapped_key is not null);
end
$$;

-- How many keys of subjects each master key wraps, and whether it was retired. One that is retired and wraps none is needed by nobody.
create function outbox.master_keys() returns table (name text, keys bigint, first_used_at timestamptz, retired_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select m.name, coalesce(wrapped.keys, 0), m.first_used_at, m.retired_at
    from outbox.master_key m
    left join (select k.master_key, count(*) as keys from outbox.subject_key k where k.wrapped_key is not null group by k.master_key) wrapped
        on wrapped.master_key = m.name
    order by m.first_used_at, m.name
$$;

alter table outbox.master_key owner to outbox_maintainer;
do $$
declare
    function regprocedure;
begin
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('refuse_retired_master', 'retire_master_key', 'master_keys') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
grant execute on function outbox.master_keys to outbox_observer;
