-- Forgetting people. What is stored of a subject is sealed by the library with a key of that subject; the key is here, wrapped by a
-- master key that is not. Without it the events stay, and nobody can read what they said.

create table outbox.subject_key (
    id uuid primary key,
    -- Whom it is of. Gone with the key.
    subject text check (octet_length(subject) between 1 and 400),
    wrapped_key bytea check (octet_length(wrapped_key) between 1 and 1024),
    -- Which master key wraps it.
    master_key text not null check (octet_length(master_key) between 1 and 200),
    created_at timestamptz not null default clock_timestamp(),
    destroyed_at timestamptz,
    constraint all_of_it_or_nothing check ((subject is null) = (wrapped_key is null) and (wrapped_key is null) = (destroyed_at is not null))
);
create unique index subject_key_of_subject on outbox.subject_key (subject) where subject is not null;
comment on table outbox.subject_key is 'Keys of subjects, wrapped. A destroyed one keeps its id and nothing else.';

create table outbox.subject_step (
    number bigint generated always as identity primary key,
    key_id uuid not null,
    action text not null check (action in ('destroy', 'rewrap')),
    reason text not null check (reason <> ''),
    actor text not null default session_user,
    acted_at timestamptz not null default clock_timestamp()
);
comment on table outbox.subject_step is 'Audit of keys destroyed and wrapped anew, without the subject: append-only.';
create trigger append_only before update or delete on outbox.subject_step for each row execute function outbox.refuse_change();
create trigger append_only_as_a_whole before truncate on outbox.subject_step for each statement execute function outbox.refuse_change();

-- The key of a subject, made of what is proposed if there is none. It is not destroyed before this transaction ends: what is sealed
-- with it can be read at least once.
create function outbox.hold_subject_key(subject text, proposed_id uuid, proposed_key bytea, proposed_master text, out id uuid, out wrapped_key bytea, out master_key text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    for try in 1..3 loop
        select k.id, k.wrapped_key, k.master_key into hold_subject_key.id, hold_subject_key.wrapped_key, hold_subject_key.master_key
        from outbox.subject_key k where k.subject = hold_subject_key.subject for share;
        if found then
            return;
        end if;
        insert into outbox.subject_key (id, subject, wrapped_key, master_key)
        values (proposed_id, hold_subject_key.subject, proposed_key, proposed_master)
        on conflict do nothing;
    end loop;
    raise exception 'the key of a subject was destroyed each time it was asked for' using errcode = 'serialization_failure';
end
$$;

-- These keys: without `wrapped_key` it was destroyed, without a row it is of another database.
create function outbox.read_subject_keys(ids uuid[]) returns table (id uuid, wrapped_key bytea, master_key text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select k.id, k.wrapped_key, k.master_key from outbox.subject_key k where k.id = any(ids)
$$;

-- Destroys the key of a subject, for good: what was sealed with it can be read by nobody from then on. Whoever is appending with it is
-- waited for. Returns the id of the key, which events name.
create function outbox.forget_subject(subject text, reason text) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    destroyed uuid;
begin
    if coalesce(btrim(reason), '') = '' then
        raise exception 'a reason must be given: it stays in outbox.subject_step' using errcode = 'invalid_parameter_value';
    end if;
    update outbox.subject_key k set subject = null, wrapped_key = null, destroyed_at = clock_timestamp()
    where k.subject = forget_subject.subject
    returning k.id into destroyed;
    if destroyed is null then
        raise exception 'this subject has no key: it was forgotten before, or nothing was sealed for it' using errcode = 'no_data_found';
    end if;
    insert into outbox.subject_step (key_id, action, reason) values (destroyed, 'destroy', forget_subject.reason);
    return destroyed;
end
$$;

-- Keys that another master key than this one wraps, to be wrapped anew.
create function outbox.stale_subject_keys(master text, max integer) returns table (id uuid, wrapped_key bytea, master_key text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select k.id, k.wrapped_key, k.master_key from outbox.subject_key k
    where k.wrapped_key is not null and k.master_key <> master
    order by k.id limit stale_subject_keys.max
$$;

-- Puts a key that is wrapped anew in the place of what was read. False: it is no longer that.
create function outbox.rewrap_subject_key(id uuid, old_wrapped bytea, new_wrapped bytea, new_master text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update outbox.subject_key k set wrapped_key = new_wrapped, master_key = new_master
    where k.id = rewrap_subject_key.id and k.wrapped_key = old_wrapped;
    if not found then
        return false;
    end if;
    insert into outbox.subject_step (key_id, action, reason) values (rewrap_subject_key.id, 'rewrap', 'master key ' || new_master);
    return true;
end
$$;

alter table outbox.subject_key owner to outbox_maintainer;
alter table outbox.subject_step owner to outbox_maintainer;
do $$
declare
    function regprocedure;
begin
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('hold_subject_key', 'read_subject_keys', 'forget_subject', 'stale_subject_keys', 'rewrap_subject_key') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
grant execute on function outbox.hold_subject_key to outbox_producer;
grant execute on function outbox.read_subject_keys to outbox_reader, outbox_subscriber;
grant select on outbox.subject_step to outbox_observer;
