-- The log: append-only, one sequence, partitioned by retention class and then by position.
-- A row is never updated; space comes back by dropping pieces. There is no default partition: rows in it would
-- forbid the next piece, and it forbids detaching concurrently. The last piece is open to the end instead.

create sequence outbox.log_position as bigint cache 1;

create table outbox.log (
    position bigint not null default nextval('outbox.log_position'),
    -- The top-level transaction, also inside savepoints. 64 bits: it does not wrap.
    transaction_id xid8 not null default pg_current_xact_id(),
    recorded_at timestamptz not null default clock_timestamp(),
    retention text not null,
    topic text not null,
    key text,
    id uuid not null,
    source text not null,
    type text not null,
    subject text,
    "time" timestamptz,
    data_content_type text,
    data_schema text,
    schema_version text,
    correlation_id text,
    causation_id text,
    traceparent text,
    tracestate text,
    extensions json,
    -- JSON as the text that came, key order, spaces and digits included. `text`, because the length of a large `json`
    -- value is known only after it was fetched and decompressed.
    data text,
    data_binary bytea,
    -- Length and characters apart: the bounded repetition {1,200} takes 17 µs to match, for every row.
    constraint topic_is_a_name check (octet_length(topic) <= 200 and topic ~ '^[A-Za-z0-9._-]+$'),
    constraint type_is_a_name check (octet_length(type) <= 200 and type ~ '^[A-Za-z0-9._-]+$'),
    constraint source_is_not_empty check (source <> ''),
    constraint one_kind_of_data check (data is null or data_binary is null),
    constraint payload_at_most_16_mib check (
        coalesce(octet_length(data), 0) <= 16777216 and coalesce(octet_length(data_binary), 0) <= 16777216)
) partition by list (retention);
comment on table outbox.log is 'Every event, in the order of position. Append through outbox.append; nobody updates or deletes.';

-- The first arm of the tail finds new transactions, the second one late ones; a share of one topic is read in order of
-- position, and nothing of other topics on the way.
create index log_by_transaction on outbox.log (transaction_id, position);
create index log_by_topic on outbox.log (topic, position);

create table outbox.log_standard partition of outbox.log for values in ('standard') partition by range (position);
create table outbox.log_audit partition of outbox.log for values in ('audit') partition by range (position);
create table outbox.log_durable partition of outbox.log for values in ('durable');
create unique index log_durable_event on outbox.log_durable (id, source);

-- Makes `pieces` pieces from `first` on, each twice as wide as the one before, and a last one open to the end.
-- For a parent that nobody writes to yet; a live one gets its pieces by create, check and attach.
create function outbox.lay_pieces(parent regclass, first bigint, width bigint, pieces integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    lower_bound bigint := first;
    upper_bound text;
    name text;
begin
    for n in 0 .. pieces loop
        upper_bound := case when n = pieces then 'maxvalue' else (lower_bound + width * (1::bigint << n))::text end;
        name := (select relname from pg_class where oid = parent) || '_from_' || lower_bound;
        execute format('create table outbox.%I partition of %s for values from (%s) to (%s)',
            name, parent, case when n = 0 then 'minvalue' else lower_bound::text end, upper_bound);
        if name like 'log\_%' then
            execute format('create unique index on outbox.%I (id, source)', name);
        end if;
        if n < pieces then
            lower_bound := upper_bound::bigint;
        end if;
    end loop;
end
$$;

select outbox.lay_pieces('outbox.log_standard', 1, 262144, 8);
select outbox.lay_pieces('outbox.log_audit', 1, 1048576, 4);

-- The bounds of every piece, for the maintainer and for the views. Null: open.
create view outbox.piece as
    select parent.relname::text as parent,
           child.relname::text as name,
           nullif(substring(pg_get_expr(child.relpartbound, child.oid) from 'FROM \(''?(MINVALUE|[0-9]+)''?\)'), 'MINVALUE')::bigint as lower_bound,
           nullif(substring(pg_get_expr(child.relpartbound, child.oid) from 'TO \(''?(MAXVALUE|[0-9]+)''?\)'), 'MAXVALUE')::bigint as upper_bound,
           inhdetachpending as detach_pending
    from pg_catalog.pg_inherits
    join pg_catalog.pg_class child on child.oid = inhrelid
    join pg_catalog.pg_class parent on parent.oid = inhparent
    where parent.relnamespace = 'outbox'::regnamespace
      and pg_get_expr(child.relpartbound, child.oid) like 'FOR VALUES FROM%';
comment on view outbox.piece is 'Pieces of the partitioned tables with their bounds, lower inclusive, upper exclusive, null for open.';

-- Append-only, also for the owner.
create function outbox.refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'outbox.% is append-only: % refused', tg_table_name, lower(tg_op)
        using errcode = 'insufficient_privilege',
              hint = 'Rows leave with their piece, when every stream has passed it and its retention is over.';
end
$$;
create trigger append_only before update or delete on outbox.log for each row execute function outbox.refuse_change();
create trigger append_only_as_a_whole before truncate on outbox.log for each statement execute function outbox.refuse_change();

alter sequence outbox.log_position owner to outbox_maintainer;
alter function outbox.lay_pieces owner to outbox_maintainer;
alter function outbox.refuse_change owner to outbox_maintainer;
alter view outbox.piece owner to outbox_maintainer;
revoke execute on function outbox.lay_pieces from public;
grant select on outbox.log, outbox.log_position, outbox.piece to outbox_relay;
grant select on outbox.piece, outbox.log_position to outbox_observer;
do $$
declare
    piece regclass;
begin
    for piece in select relid from pg_catalog.pg_partition_tree('outbox.log') loop
        execute format('alter table %s owner to outbox_maintainer', piece);
    end loop;
end
$$;
