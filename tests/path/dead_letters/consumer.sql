-- What a consumer does to its database, by hand: events arrive, die, wait, and what goes back is applied.
-- Event n of a key is `event-n` of entry `1-n` of topic `orders.placed`.
create table effect (n bigint generated always as identity, key text, number bigint, data json);
select outbox.add_inbox_day('2026-11-20 12:00Z');
insert into outbox.consumer (name) values ('stock'), ('audit');

create function entry(number bigint, key text) returns bytea[] language sql as $$
    select array['event'::bytea, convert_to(
        '{"specversion":"1.0","id":"event-' || number || '","source":"/shop","type":"orders.placed"'
        || coalesce(',"partitionkey":' || to_json(key)::text, '') || ',"data":{"number":' || number || ',"price":1.10}}', 'UTF8')]
$$;

create function record(consumer text, number bigint, outcome text) returns void language sql as $$
    insert into outbox.inbox (consumer, source, id, recorded_at, outcome, stream, entry_id)
    values (consumer, '/shop', 'event-' || number, '2026-11-20 12:00Z', outcome, 'outbox:orders.placed', '1-' || number)
$$;

-- Given up. It holds its key, or the key goes on without it.
create function die(number bigint, key text, holds boolean default true, error text default 'no such item', kind text default 'transient',
                    consumer text default 'stock', class text default 'handler', topic text default 'orders.placed')
returns bigint language plpgsql as $$
declare
    letter bigint;
    its_lane text := coalesce('k' || key, 'e1-' || number);
begin
    perform record(consumer, number, 'dead');
    insert into outbox.dead_letter (consumer, stream, entry_id, flow, lane, source, id, type, key, recorded_at, entry_fields, error_class, error,
                                    error_kind, fingerprint, attempts, history, first_failed_at)
    values (consumer, 'outbox:' || topic, '1-' || number, topic, its_lane, '/shop', 'event-' || number, split_part(topic, '@', 1), key,
            '2026-11-20 12:00Z', entry(number, key), class, error, kind, left(md5(error), 16), 3,
            jsonb_build_array(jsonb_build_object('number', 3, 'failed_at', now(), 'seconds', 0.25, 'class', class, 'error', error)), now())
    returning dead_letter.number into letter;
    if holds then
        insert into outbox.parked_lane (consumer, flow, lane, state, stream)
        values (consumer, topic, its_lane, 'dead', 'outbox:' || topic)
        on conflict on constraint parked_lane_pkey do update set state = 'dead', due_at = 'infinity';
    end if;
    return letter;
end
$$;

-- An event from the stream: behind what waits of its key, or applied.
create function arrive(number bigint, key text, consumer text default 'stock') returns text language plpgsql as $$
begin
    perform from outbox.parked_lane l where (l.consumer, l.flow, l.lane) = (arrive.consumer, 'orders.placed', 'k' || key) for key share;
    if found then
        perform record(consumer, number, 'parked');
        insert into outbox.parked_event (consumer, flow, lane, stream, entry_id, source, id, type, key, recorded_at, entry_fields)
        values (consumer, 'orders.placed', 'k' || key, 'outbox:orders.placed', '1-' || number, '/shop', 'event-' || number, 'orders.placed', key,
                '2026-11-20 12:00Z', entry(number, key));
        return 'parked';
    end if;
    perform record(consumer, number, 'applied');
    insert into effect (key, number) values (key, number);
    return 'applied';
end
$$;

-- Applies what is due, key by key, in the order of the places; the events in `poison` die. Returns how many were handled.
create function drain(poison bigint[] default '{}') returns integer language plpgsql as $$
declare
    line outbox.parked_lane;
    head outbox.parked_event;
    event json;
    handled integer := 0;
begin
    loop
        select * into line from outbox.parked_lane l where l.state in ('retrying', 'draining') and l.due_at <= clock_timestamp()
        order by l.flow, l.lane limit 1 for no key update;
        exit when not found;
        select * into head from outbox.parked_event e where (e.consumer, e.flow, e.lane) = (line.consumer, line.flow, line.lane)
        order by e.place limit 1;
        if not found then
            delete from outbox.parked_lane l where (l.consumer, l.flow, l.lane) = (line.consumer, line.flow, line.lane);
            continue;
        end if;
        handled := handled + 1;
        event := convert_from(head.entry_fields[2], 'UTF8')::json;
        delete from outbox.parked_event e where (e.consumer, e.flow, e.lane, e.place) = (head.consumer, head.flow, head.lane, head.place);
        if (event -> 'data' ->> 'number')::bigint = any (poison) then
            update outbox.dead_letter d set state = 'dead', dead_at = clock_timestamp() where d.number = head.dead_letter;
            update outbox.parked_lane l set state = 'dead', due_at = 'infinity' where (l.consumer, l.flow, l.lane) = (line.consumer, line.flow, line.lane);
            update outbox.operation_item i set state = 'dead' where i.dead_letter = head.dead_letter and i.state = 'released';
            continue;
        end if;
        update outbox.inbox i set outcome = 'applied' where i.consumer = head.consumer and i.id = head.id and i.outcome in ('parked', 'dead');
        if found then
            insert into effect (key, number, data) values (head.key, (event -> 'data' ->> 'number')::bigint, event -> 'data');
        end if;
        update outbox.dead_letter d set state = 'applied' where d.number = head.dead_letter;
        update outbox.operation_item i set state = 'applied' where i.dead_letter = head.dead_letter and i.state = 'released';
    end loop;
    return handled;
end
$$;
