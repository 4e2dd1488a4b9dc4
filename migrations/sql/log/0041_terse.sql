-- What an append costs its transaction, once more: an expression is made ready in each statement that has it, node by node, and that took
-- longer than to look at it.

-- An id as before. In a language that is not planned into the statement: where the id is given, and the call not reached, it was made ready
-- all the same, some twenty nodes.
create or replace function outbox.new_event_id() returns uuid
language plpgsql volatile parallel safe as $$
begin
    return pg_catalog.encode(
        pg_catalog.set_bit(pg_catalog.set_bit(
            pg_catalog.overlay(pg_catalog.uuid_send(pg_catalog.gen_random_uuid()),
                pg_catalog.substring(pg_catalog.int8send((extract(epoch from pg_catalog.clock_timestamp()) operator(pg_catalog.*) 1000)::bigint), 3), 1, 6),
            52, 1), 53, 1),
        'hex')::pg_catalog.uuid;
end
$$;

-- Whether a statement that inserted has to enter outbox.ring. Called with the rights and the path of whoever inserts: every name is in full.
-- The lock is tried last: it is not taken by who does not want to ring (a prepared transaction would keep the leader awake).
create function outbox.must_ring() returns boolean
language plpgsql stable as $$
begin
    return coalesce(pg_catalog.current_setting('outbox.notify', true) operator(pg_catalog.<>) 'off', true)
       and not pg_catalog.pg_try_advisory_xact_lock_shared(122550254464888);
end
$$;

-- As before. The rules that nearly every event keeps are fewer and stricter: what they let pass is right, and of what they do not
-- outbox.accepts says whether it is. The topic is joined, one row for each row: a sub-select in the list has Postgres walk over the whole
-- statement in each run for the locks in it, and a join that it may turn around would not keep the order of the rows.
create or replace rule append as on insert to outbox.outgoing do instead
insert into outbox.log (retention, topic, key, id, source, type, subject, "time", data_content_type, data_schema, schema_version,
                        correlation_id, causation_id, traceparent, tracestate, extensions, data, data_binary)
select coalesce(t.retention, 'standard'), n.topic, n.key, coalesce(n.id, outbox.new_event_id()), coalesce(n.source, s.source),
       coalesce(n.type, n.topic), n.subject, n."time",
       coalesce(n.data_content_type, case when n.data is not null then 'application/json' when n.data_binary is not null then 'application/octet-stream' end),
       n.data_schema, n.schema_version, n.correlation_id, n.causation_id, coalesce(n.traceparent, n.extensions ->> 'traceparent'),
       coalesce(n.tracestate, n.extensions ->> 'tracestate'), case when n.extensions is not null then outbox.without_trace(n.extensions) end,
       n.data::text, n.data_binary
from lateral (
        select new.id as id, new.topic as topic, new.key as key, new.type as type, new.source as source, new.subject as subject, new."time" as "time",
               new.data_content_type as data_content_type, new.data_schema as data_schema, new.schema_version as schema_version,
               new.correlation_id as correlation_id, new.causation_id as causation_id, new.traceparent as traceparent, new.tracestate as tracestate,
               new.extensions as extensions, new.data as data, new.data_binary as data_binary
     ) n
     -- The limit has the planner know that there is one, though nobody ever analyses so small a table.
     left join (select source, payload_limit_bytes from outbox.settings limit 1) s on true
     left join lateral (select k.retention from outbox.topic k where k.name = n.topic limit 1) t on true
where (n.topic || coalesce(n.type, '') ~ '^[A-Za-z0-9._-]+$' and octet_length(n.topic || coalesce(n.type, '')) <= 200
      -- None is empty: '' is the least of all. Of an empty name and another one the expression sees the other one alone.
      and least(n.key collate "C", n.topic, n.type, n.source, n.schema_version, n.correlation_id, n.causation_id, n.traceparent, n.tracestate) is distinct from ''
      -- The size of an array is at least that of its elements.
      and pg_column_size(array[n.key, coalesce(n.source, s.source), n.schema_version, n.correlation_id, n.causation_id, n.traceparent, n.tracestate]) <= 1024
      and num_nonnulls(n.subject, n."time", n.data_content_type, n.data_schema, n.extensions) = 0
      and (n.data is null or n.data_binary is null)
      and coalesce(octet_length(n.data::text), octet_length(n.data_binary), 0) <= s.payload_limit_bytes
   or outbox.accepts(n.topic, n.key, coalesce(n.type, n.topic), coalesce(n.source, s.source), n.subject, n."time", n.data_content_type, n.data_schema,
                     n.schema_version, n.correlation_id, n.causation_id, coalesce(n.traceparent, n.extensions ->> 'traceparent'),
                     coalesce(n.tracestate, n.extensions ->> 'tracestate'), case when n.extensions is not null then outbox.without_trace(n.extensions) end,
                     octet_length(n.data::text), octet_length(n.data_binary), s.payload_limit_bytes))
returning log.id, log.topic, log.key, log.type, log.source, log.subject, log."time", log.data_content_type, log.data_schema, log.schema_version,
          log.correlation_id, log.causation_id, log.traceparent, log.tracestate, log.extensions, log.data::json, log.data_binary;

-- It is looked at with the rights of whoever inserts, by whatever right that is: one to some columns, or to a view of a service. It tells nothing, and
-- anybody may take that lock by itself.
alter function outbox.must_ring owner to outbox_maintainer;
grant execute on function outbox.must_ring to public;
