-- Holes that a person lets a consumer pass: the entry that waits is applied although the one before it never came.

create table outbox.hole_pass (
    number bigint generated always as identity primary key,
    consumer text not null,
    stream text not null,
    -- The entry that is held. What it names as its predecessor counts as passed.
    -- As Redis writes it: two numbers of 64 bits without leading zeros.
    entry_id text not null check (entry_id ~ '^(0|[1-9][0-9]{0,19})-(0|[1-9][0-9]{0,19})$'
                                  and 18446744073709551615 >= all (string_to_array(entry_id, '-')::numeric[])),
    reason text not null check (reason <> ''),
    actor text not null default session_user,
    acted_at timestamptz not null default clock_timestamp(),
    unique (consumer, stream, entry_id)
);
comment on table outbox.hole_pass is 'Entries that a person lets pass although their predecessor is missing: what was between is given up for this consumer. Append-only.';
create trigger append_only before update or delete on outbox.hole_pass for each row execute function outbox.refuse_rewrite();

-- Lets a consumer pass the hole before one entry of a stream. The member that applies the stream sees it within seconds. Audited.
-- Returns the entry passed last before; null for a consumer that passed none.
create function outbox.pass_hole(consumer text, stream text, entry_id text, reason text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    passed outbox.consumer_stream;
    entry numeric[];
    -- The rows stay: an id that is not there yet would count as given up when the stream comes to it. A batch is numbered by the
    -- time at which it was made, or just behind the one before it; clocks may differ by an hour.
    newest numeric;
begin
    perform outbox.require_consumer(consumer, reason);
    if coalesce(entry_id, '') !~ '^[0-9]{1,20}-[0-9]{1,20}$' then
        raise exception 'the entry held is named by its id, as 1795233600000-41; got %', left(entry_id, 100) using errcode = 'invalid_parameter_value';
    elsif not exists (select from outbox.consumer_lease l where l.consumer = pass_hole.consumer and l.stream = pass_hole.stream) then
        raise exception 'consumer % does not read stream %', consumer, stream
            using errcode = 'no_data_found', hint = 'outbox_ops.inbox lists consumers and their streams.';
    end if;
    entry := string_to_array(entry_id, '-')::numeric[];
    if entry[1] > 18446744073709551615 or entry[2] > 18446744073709551615 then
        raise exception 'there is no entry %: a half of an entry id is at most 18446744073709551615', entry_id using errcode = 'invalid_parameter_value';
    end if;
    entry_id := entry[1] || '-' || entry[2];
    select * into passed from outbox.consumer_stream p where p.consumer = pass_hole.consumer and p.stream = pass_hole.stream;
    if (passed.passed_batch, passed.passed_position) >= (entry[1], entry[2]) then
        raise exception 'consumer % has passed entry % of stream % already: nothing is held there', consumer, entry_id, stream
            using errcode = 'invalid_parameter_value';
    end if;
    newest := 3600000 + greatest(
        extract(epoch from clock_timestamp()) * 1000, passed.passed_batch,
        (select m.published_batch from outbox.stream_mark m where m.consumer = pass_hole.consumer and m.stream = pass_hole.stream));
    if entry[1] > newest then
        raise exception 'entry % of stream % lies in the future: nothing can be held there yet', entry_id, stream
            using errcode = 'invalid_parameter_value', hint = 'Give the entry that the member names as held.';
    end if;
    insert into outbox.hole_pass (consumer, stream, entry_id, reason)
    values (pass_hole.consumer, pass_hole.stream, pass_hole.entry_id, pass_hole.reason)
    on conflict do nothing;
    -- Said again, it is audited again.
    insert into outbox.consumer_audit (action, consumer, target, reason)
    values ('pass_hole', pass_hole.consumer, jsonb_build_object('stream', pass_hole.stream, 'entry', pass_hole.entry_id,
        'passed', passed.passed_batch || '-' || passed.passed_position), pass_hole.reason);
    return passed.passed_batch || '-' || passed.passed_position;
end
$$;

alter table outbox.hole_pass owner to outbox_maintainer;
alter function outbox.pass_hole owner to outbox_maintainer;
revoke execute on function outbox.pass_hole from public;
grant execute on function outbox.pass_hole to outbox_operator;
grant select on outbox.hole_pass to outbox_consumer, outbox_observer, outbox_operator;
