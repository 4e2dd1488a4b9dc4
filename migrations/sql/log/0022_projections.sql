-- Projections: tables made of stored events, each in a schema of its own. Built anew beside the live one, and put in its place in one
-- transaction.

create table outbox.projection (
    name text primary key check (name ~ '^[a-z][a-z0-9_]{0,49}$' and name !~ '^pg_' and name not in ('outbox', 'outbox_ops', 'public', 'information_schema')),
    kind text not null check (kind in ('inline', 'asynchronous')),
    -- That which is live. Its tables are in the schema of the projection's name.
    generation integer not null default 1 check (generation > 0),
    created_at timestamptz not null default clock_timestamp()
);
comment on table outbox.projection is 'Projections. Who makes, switches or drops something of one holds its row.';

create table outbox.projection_rebuild (
    number bigint generated always as identity primary key,
    projection text not null references outbox.projection,
    generation integer not null,
    state text not null check (state in ('ordered', 'building', 'held', 'switched', 'cancelled')),
    accept_differences boolean not null,
    reason text not null check (reason <> ''),
    actor text not null default session_user,
    ordered_at timestamptz not null default clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    -- Why it is held, or what was compared.
    said text
);
create unique index one_rebuild_at_a_time on outbox.projection_rebuild (projection) where state in ('ordered', 'building', 'held');
comment on table outbox.projection_rebuild is 'Projections built anew, and by whom. A command only writes the order: the process that has the code carries it out.';

create function outbox.order_rebuild(projection text, reason text, accept_differences boolean default false) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    live outbox.projection;
    ordered bigint;
begin
    select * into live from outbox.projection p where p.name = order_rebuild.projection for no key update;
    if not found then
        raise exception 'there is no projection %', quote_nullable(left(projection, 100)) using errcode = 'no_data_found',
            hint = 'A projection is known once a process has run it: see outbox_ops.projections.';
    end if;
    if exists (select from outbox.projection_rebuild r where r.projection = live.name and r.state in ('ordered', 'building', 'held')) then
        raise exception 'projection % is being built anew already', live.name using errcode = 'object_in_use',
            hint = 'Wait for it, or cancel it: outbox.cancel_rebuild.';
    end if;
    insert into outbox.projection_rebuild (projection, generation, state, accept_differences, reason)
    select live.name, greatest(live.generation, coalesce(max(r.generation), 0)) + 1, 'ordered', order_rebuild.accept_differences, order_rebuild.reason
    from outbox.projection_rebuild r where r.projection = live.name
    returning number into ordered;
    return ordered;
end
$$;

-- Has a rebuild that is held tried again: differences are wanted, or what was in its way is gone.
create function outbox.release_rebuild(projection text, reason text, accept_differences boolean default false) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update outbox.projection_rebuild r
    set state = 'building', accept_differences = r.accept_differences or release_rebuild.accept_differences, reason = r.reason || '; ' || release_rebuild.reason
    where r.projection = release_rebuild.projection and r.state = 'held';
    if not found then
        raise exception 'no rebuild of projection % is held', quote_nullable(left(projection, 100)) using errcode = 'no_data_found';
    end if;
end
$$;

create function outbox.cancel_rebuild(projection text, reason text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update outbox.projection_rebuild r
    set state = 'cancelled', finished_at = clock_timestamp(), reason = r.reason || '; cancelled: ' || cancel_rebuild.reason
    where r.projection = cancel_rebuild.projection and r.state in ('ordered', 'building', 'held');
    if not found then
        raise exception 'projection % is not being built anew', quote_nullable(left(projection, 100)) using errcode = 'no_data_found';
    end if;
end
$$;

create view outbox_ops.projections as
    select p.name as projection, p.kind, p.generation,
           case when live.paused_at is not null then 'paused' when p.kind = 'inline' then 'inline' when live.name is null then 'waiting' else 'running' end as state,
           coalesce(lag.events, 0) as lag_events,
           r.number as rebuild, r.state as rebuild_state, r.generation as rebuild_generation, r.reason as rebuild_reason, r.actor as rebuild_actor,
           r.ordered_at as rebuild_ordered_at, r.finished_at as rebuild_finished_at,
           next.events as rebuilt_events,
           case when r.state = 'switched' then 1 when next.position is not null then least(next.position::double precision / greatest(last.value, 1), 1) end as rebuilt_share,
           case when r.state = 'building' and next.events > 0 then next.events / greatest(extract(epoch from clock_timestamp() - r.started_at)::double precision, 0.001) end as rebuilt_per_second,
           case when r.state = 'building' and next.position > 0
                then extract(epoch from clock_timestamp() - r.started_at)::double precision * greatest(last.value - next.position, 0) / next.position end as rebuild_left_seconds,
           r.said as rebuild_said
    from outbox.projection p
    cross join lateral (select case when is_called then last_value else 0 end as value from outbox.log_position) last
    left join outbox.subscription live on live.name = p.name and live.generation = p.generation
    left join lateral outbox.subscription_backlog(live.name, live.generation) lag on live.name is not null
    left join lateral (select * from outbox.projection_rebuild r where r.projection = p.name order by r.number desc limit 1) r on true
    left join lateral (
        select sum(c.events)::bigint as events, min(case when c.goal is null then c.done_through else greatest(c.after_position, c.done_through) end) as position
        from outbox.subscription_checkpoint c where c.subscription = p.name and c.generation = r.generation and r.state <> 'cancelled') next on true;
comment on view outbox_ops.projections is 'Projections, and the newest rebuild of each.';
comment on column outbox_ops.projections.projection is 'Its name, and that of its schema.';
comment on column outbox_ops.projections.kind is '`inline`: applied in the transaction that appends; `asynchronous`: by a subscription.';
comment on column outbox_ops.projections.generation is 'That which is live.';
comment on column outbox_ops.projections.state is '`running`; `inline`; `paused`: by a person; `waiting`: it never ran.';
comment on column outbox_ops.projections.lag_events is 'Events that lie before it, counted up to 10,000 per partition.';
comment on column outbox_ops.projections.rebuild is 'Number of the newest rebuild.';
comment on column outbox_ops.projections.rebuild_state is '`ordered`; `building`; `held`: rebuild_said tells why; `switched`: it is live; `cancelled`.';
comment on column outbox_ops.projections.rebuild_generation is 'The generation that is built.';
comment on column outbox_ops.projections.rebuild_reason is 'Why it was ordered.';
comment on column outbox_ops.projections.rebuild_actor is 'By whom.';
comment on column outbox_ops.projections.rebuild_ordered_at is 'When.';
comment on column outbox_ops.projections.rebuild_finished_at is 'When it became live, or was cancelled.';
comment on column outbox_ops.projections.rebuilt_events is 'Events applied so far.';
comment on column outbox_ops.projections.rebuilt_share is 'How far it is, 0 to 1, by position in the log.';
comment on column outbox_ops.projections.rebuilt_per_second is 'Events per second since it began.';
comment on column outbox_ops.projections.rebuild_left_seconds is 'How long it still takes, at that rate.';
comment on column outbox_ops.projections.rebuild_said is 'What was compared, or why it is held.';

do $$
declare
    function regprocedure;
begin
    alter table outbox.projection owner to outbox_maintainer;
    alter table outbox.projection_rebuild owner to outbox_maintainer;
    alter view outbox_ops.projections owner to outbox_maintainer;
    for function in select oid from pg_catalog.pg_proc where pronamespace = 'outbox'::regnamespace
                    and proname in ('order_rebuild', 'release_rebuild', 'cancel_rebuild') loop
        execute format('alter function %s owner to outbox_maintainer', function);
        execute format('revoke execute on function %s from public', function);
    end loop;
end
$$;
grant select, insert, update (generation) on outbox.projection to outbox_subscriber;
grant select, update (state, started_at, finished_at, said) on outbox.projection_rebuild to outbox_subscriber;
-- A generation that was replaced or cancelled goes, with its checkpoints.
grant delete on outbox.subscription to outbox_subscriber;
grant execute on function outbox.subscription_backlog to outbox_subscriber;
grant execute on function outbox.order_rebuild, outbox.release_rebuild, outbox.cancel_rebuild to outbox_operator;
grant select on outbox.projection_rebuild to outbox_observer;
grant select on outbox_ops.projections to outbox_observer, outbox_operator;
