-- What a relay refused because of what it found at the sink, kept: the next parcel of whoever publishes wipes out what was seen.
-- And a leader that does not know eras is refused the lead once one was opened: it would publish an era in part.

create table outbox.refusal (
    number bigint generated always as identity primary key,
    code text not null check (code <> ''),
    said text not null,
    epoch bigint not null,
    refused_at timestamptz not null default clock_timestamp(),
    closed_at timestamptz,
    recovery bigint references outbox.recovery,
    check ((closed_at is null) = (recovery is null))
);
create index refusal_open on outbox.refusal (number) where closed_at is null;
comment on table outbox.refusal is 'What a relay found at the sink that is not of this ledger. While one is open no relay of this database leads; outbox-relay recover apply closes it.';

create view outbox_ops.refusals as
    select refusal.number, refusal.code, refusal.said, refusal.epoch, refusal.refused_at, refusal.closed_at, refusal.recovery
    from outbox.refusal refusal
    order by refusal.number desc
    limit 1000;
comment on view outbox_ops.refusals is 'What relays found at the sink that is not of this ledger, newest first. While one is open nothing is published.';
comment on column outbox_ops.refusals.number is 'Its number.';
comment on column outbox_ops.refusals.code is 'The word that `/readyz` begins with.';
comment on column outbox_ops.refusals.said is 'What was seen, and what it means.';
comment on column outbox_ops.refusals.epoch is 'Epoch of the leader that found it.';
comment on column outbox_ops.refusals.refused_at is 'When it was found.';
comment on column outbox_ops.refusals.closed_at is 'When a recovery closed it; null: it is open.';
comment on column outbox_ops.refusals.recovery is 'The recovery that closed it.';

alter table outbox.refusal owner to outbox_maintainer;
alter view outbox_ops.refusals owner to outbox_maintainer;
grant select on outbox.refusal, outbox_ops.refusals to outbox_observer, outbox_relay;
grant insert (code, said, epoch) on outbox.refusal to outbox_relay;

-- A relay that knows no eras reads their first shares by two snapshots, and would publish them in part. It is refused the leases, which
-- it needs for everything else: whoever takes or renews one says each time that it knows, by a setting of its transaction. Not by a
-- column: to add one locks out every append, which reads the lease to ring the doorbell, behind whoever left a transaction open.
-- Of the eras that were there before nothing is asked, so that relays may be replaced one by one after this migration.
alter table outbox.era add column guarded boolean not null default false;
alter table outbox.era alter column guarded set default true;
comment on column outbox.era.guarded is 'Whether only relays that know eras may lead from here on.';

create function outbox.refuse_without_eras() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if new.expires_at > clock_timestamp() and current_setting('outbox.knows_eras', true) is distinct from 'on'
       and exists (select from outbox.era e where e.era > 1 and e.guarded) then
        raise exception 'an era was opened, which this relay does not know and would publish in part: run the version that belongs to this schema'
            using errcode = 'undefined_column';
    end if;
    return new;
end
$$;
create trigger knows_eras before update on outbox.lease for each row execute function outbox.refuse_without_eras();
alter function outbox.refuse_without_eras() owner to outbox_maintainer;
revoke execute on function outbox.refuse_without_eras() from public;
