-- Why something stands still, or will: one row for each cause, for people, for `/readyz` and for `status`.
-- The summary names the worst; this names all of them, within the time that an answer may take: every arm is bounded.

create function outbox.causes() returns table (cause text, severity text, subject text, since timestamptz, reason text)
language sql stable security definer rows 5
set search_path = pg_catalog, pg_temp set jit = off as $$
    with tail as (
        select l.holder, l.expires_at, l.expires_at > clock_timestamp() as valid from outbox.lease l where l.name = 'tail'
    ), live as (
        select r.instance, r.state, r.reason, r.seen_at from outbox.relay r
        where r.seen_at > clock_timestamp() - interval '30 seconds'
    ), head as (
        select parent.relname::text as parent,
               case when parent.relname like 'log\_%' then (select last_value from outbox.log_position)
                    when parent.relname = 'progress' then (select last_value from outbox.progress_number)
                    else coalesce((select b.number from outbox.batch b order by b.number desc limit 1), 0) end as next
        from pg_partitioned_table p join pg_class parent on parent.oid = p.partrelid
        where parent.relnamespace = 'outbox'::regnamespace and p.partstrat = 'r'
          and parent.relname in ('log_standard', 'log_audit', 'batch', 'share', 'progress')
    ), bound as (
        select p.parent, p.lower_bound, p.upper_bound,
               lead(coalesce(p.lower_bound, 0)) over (partition by p.parent order by p.lower_bound nulls first) as next_lower
        from outbox.piece p where not p.detach_pending
    ), gap as (
        select bound.parent, bound.upper_bound as from_here, bound.next_lower as to_there
        from bound where bound.upper_bound is not null and bound.next_lower is distinct from bound.upper_bound
        union all
        select head.parent, null, null from head where not exists (select from bound where bound.parent = head.parent)
    )
    select 'refused', 'stalled', live.instance, live.seen_at, live.reason from live where live.state = 'refused'
    union all
    select 'no_lease', case when exists (select from outbox_ops.backlog) then 'stalled' else 'degraded' end, 'tail',
           nullif(tail.expires_at, '-infinity'),
           'no relay holds the lease: nothing is published; start outbox-relay run, or see why those that run cannot take it'
    from tail where not tail.valid and not exists (select from live where live.state = 'refused')
    union all
    select 'waiting', case when tail.valid and tail.holder = live.instance then 'stalled' else 'degraded' end, live.instance, live.seen_at, live.reason
    from live cross join tail where live.state = 'waiting'
    union all
    -- What is far ahead may be missing for a moment: upkeep splits it. Nothing within this reserve is ever touched.
    select 'piece_missing', 'stalled', 'outbox.' || gap.parent, null,
           format('there is no piece of outbox.%s for %s on%s, and %s is reached: what comes there is refused. Upkeep makes it within maintain.interval; if it does not, its log says why',
                  gap.parent, coalesce(gap.from_here::text, 'anything'), ' to ' || gap.to_there, head.next)
    from gap join head using (parent)
    where coalesce(gap.from_here, 0) < head.next + 16000000 and coalesce(gap.to_there, 9223372036854775807) > head.next
    union all
    (select t.state, 'degraded', t.stream, t.stopped_since, t.reason from outbox_ops.topics t
     where t.state in ('set_aside', 'blocked', 'lost') order by t.stopped_since limit 20)
    union all
    (select 'transaction', 'note', coalesce(w.pid::text, w.prepared_name), w.started_at,
            format('a transaction of %s%s is open for %s s (%s) and holds back %s: its own events only, nobody else''s',
                   w.user_name, ' (' || nullif(w.application, '') || ')', floor(extract(epoch from w.age)), w.state, array_to_string(w.holds_back, ', '))
     from outbox.waiting_transactions() w
     where w.age > interval '5 seconds' and cardinality(w.holds_back) > 0 order by w.started_at limit 20)
$$;
alter function outbox.causes owner to outbox_maintainer;
revoke execute on function outbox.causes from public;
grant execute on function outbox.causes to outbox_observer, outbox_relay;

create view outbox_ops.causes as
    select cause, severity, subject, since, reason from outbox.causes();
comment on view outbox_ops.causes is 'Why something stands still or will, one row for each cause; none when all is well.';
comment on column outbox_ops.causes.cause is '`refused`, `waiting` (a relay), `no_lease`, `piece_missing`, `set_aside`, `blocked`, `lost` (a stream), `transaction`.';
comment on column outbox_ops.causes.severity is '`stalled`: nothing moves, or appends are refused; `degraded`: some of it waits; `note`: somebody holds back what is their own.';
comment on column outbox_ops.causes.subject is 'The relay, lease, table, stream or process (or prepared transaction) that it is about.';
comment on column outbox_ops.causes.since is 'Since when, where that is known; of a relay, when it was last seen.';
comment on column outbox_ops.causes.reason is 'What was seen, and what to do.';
alter view outbox_ops.causes owner to outbox_maintainer;
grant select on outbox_ops.causes to outbox_observer, outbox_relay;
