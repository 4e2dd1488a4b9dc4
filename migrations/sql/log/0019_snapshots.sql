-- What an aggregate was at some version of its stream, so that loading it begins there. Never needed: the events say the same, and
-- every row here may go at any time.

create table outbox.stream_snapshot (
    stream bigint not null,
    -- What kind of state it is, and which version of it: a program reads its own only.
    shape text not null check (octet_length(shape) between 1 and 200),
    shape_version integer not null check (shape_version > 0),
    -- The first version that was folded into it, and the last with its event: in another history of the stream that is another one.
    begins bigint not null check (begins > 0),
    version bigint not null check (version >= begins),
    event uuid not null,
    state text not null check (octet_length(state) <= 1048576),
    digest bytea not null,
    made_at timestamptz not null default clock_timestamp(),
    primary key (stream, shape, shape_version)
) with (fillfactor = 70);
comment on table outbox.stream_snapshot is 'States of aggregates, to begin loading at. Never needed for what is right: rows may be deleted at any time.';

-- Keeps a state in the place of the one before. Whoever calls it has just appended to the stream, and so has it locked.
create function outbox.keep_snapshot(stream text, shape text, shape_version integer, begins bigint, version bigint, event uuid, state text, digest bytea)
returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    insert into outbox.stream_snapshot (stream, shape, shape_version, begins, version, event, state, digest)
    select s.id, keep_snapshot.shape, keep_snapshot.shape_version, keep_snapshot.begins, keep_snapshot.version, keep_snapshot.event,
           keep_snapshot.state, keep_snapshot.digest
    from outbox.stream s where s.name = keep_snapshot.stream
    on conflict on constraint stream_snapshot_pkey do update
    set begins = excluded.begins, version = excluded.version, event = excluded.event, state = excluded.state, digest = excluded.digest,
        made_at = excluded.made_at
$$;

-- The state to begin with, if it is of this stream as it is now: its last event is there, and nothing that was folded was truncated.
create function outbox.read_snapshot(stream text, shape text, shape_version integer)
returns table (begins bigint, version bigint, event uuid, state text, digest bytea)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select k.begins, k.version, k.event, k.state, k.digest
    from outbox.stream s
    join outbox.stream_snapshot k on k.stream = s.id
    where s.name = read_snapshot.stream and k.shape = read_snapshot.shape and k.shape_version = read_snapshot.shape_version
      and exists (select from outbox.stored_event e where e.stream_id = k.stream and e.version = k.version and e.id = k.event)
      and not exists (select from outbox.stream_step t
                      where t.stream = k.stream and t.action in ('truncate', 'tombstone') and t.through >= k.begins and t.events > 0)
$$;

alter table outbox.stream_snapshot owner to outbox_maintainer;
alter function outbox.keep_snapshot owner to outbox_maintainer;
alter function outbox.read_snapshot owner to outbox_maintainer;
revoke execute on function outbox.keep_snapshot, outbox.read_snapshot from public;
grant execute on function outbox.keep_snapshot to outbox_producer;
grant execute on function outbox.read_snapshot to outbox_reader;
