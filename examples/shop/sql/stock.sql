-- The warehouse's tables, in its own database. No unique constraint on (order_id, step): were an event applied twice, it
-- would be seen here. What prevents it is the inbox.
create schema stock;

create table stock.items (
    sku text primary key,
    on_hand bigint not null
);

create table stock.movements (
    entry bigint generated always as identity primary key,
    order_id uuid not null,
    step integer not null,
    pieces bigint not null
);
