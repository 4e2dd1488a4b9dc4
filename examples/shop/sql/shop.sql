-- The shop's own tables. `step` counts the changes of an order, so that order and gaps can be seen downstream.
create schema shop;

create table shop.orders (
    id uuid primary key,
    customer integer not null,
    state text not null check (state in ('placed', 'paid', 'cancelled')),
    step integer not null,
    total_cents bigint not null,
    changed_at timestamptz not null default clock_timestamp()
);
create index orders_open on shop.orders (changed_at desc) where state in ('placed', 'paid');

create table shop.order_lines (
    order_id uuid not null references shop.orders,
    line integer not null,
    sku text not null,
    quantity integer not null,
    cents bigint not null,
    primary key (order_id, line)
);

-- What the audit goes by: every change that was committed, whether or not anybody heard of it.
create table shop.order_changes (
    order_id uuid not null references shop.orders,
    step integer not null,
    state text not null,
    primary key (order_id, step)
);
