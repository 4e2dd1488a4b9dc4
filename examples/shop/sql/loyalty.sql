-- The loyalty programme's tables, in its own database. No unique constraint on (order_id, step), as in the warehouse.
create schema loyalty;

create table loyalty.accounts (
    customer integer primary key,
    points bigint not null
);

create table loyalty.ledger (
    entry bigint generated always as identity primary key,
    order_id uuid not null,
    step integer not null,
    customer integer not null,
    points bigint not null
);
create index ledger_by_order on loyalty.ledger (order_id);
