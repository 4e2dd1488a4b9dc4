-- A transaction that took too long ends before all of its events had their turn. The rows of the others go with that very
-- transaction: they come again at once, and must not be taken for applied.

-- Removes what this transaction entered of these events, and nothing else: a row that was committed before has another xmin.
-- No day is locked but those of the events (hence the plans of their own). A time of null: the event does not say when it was
-- recorded; one that does may have no day. An identity of null: it has none. Returns how many rows of the inbox went.
create function outbox.give_back(
    consumer text, sources text[], ids text[], recorded timestamptz[], topic text, identities bytea[]
) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
declare
    removed integer;
    without_day integer;
begin
    delete from outbox.inbox i
    using unnest(sources, ids, recorded) given (source, id, recorded_at)
    where i.consumer = give_back.consumer and i.source = given.source and i.id = given.id and i.recorded_at = given.recorded_at
      and i.recorded_at = any(recorded) and i.xmin = pg_current_xact_id()::xid;
    get diagnostics removed = row_count;
    if removed < cardinality(ids) then
        delete from outbox.inbox_foreign f
        using unnest(sources, ids) given (source, id)
        where f.consumer = give_back.consumer and f.source = given.source and f.id = given.id
          and f.xmin = pg_current_xact_id()::xid;
        get diagnostics without_day = row_count;
        removed := removed + without_day;
    end if;
    delete from outbox.inbox_keyed k
    using unnest(sources, ids, identities) given (source, id, identity)
    where k.consumer = give_back.consumer and k.topic = give_back.topic and k.identity = given.identity
      and k.source = given.source and k.id = given.id and k.xmin = pg_current_xact_id()::xid;
    return removed;
end
$$;

alter function outbox.give_back owner to outbox_maintainer;
revoke execute on function outbox.give_back from public;
grant execute on function outbox.give_back to outbox_consumer;
