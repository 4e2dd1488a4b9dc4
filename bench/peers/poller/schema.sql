-- A table with a flag, an index on what is not published, and a notification per statement.
create table outbox (
    id bigint generated always as identity primary key,
    key text not null,
    data text not null,
    published timestamptz
);

create index outbox_waiting on outbox (id) where published is null;

create function outbox_ring() returns trigger language plpgsql as $$
begin
    notify outbox;
    return null;
end
$$;

create trigger outbox_ring after insert on outbox for each statement execute function outbox_ring();
