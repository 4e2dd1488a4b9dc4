-- The outbox table of its event router, with the columns that the documentation gives it.
create table outbox (
    id uuid not null primary key default gen_random_uuid(),
    aggregatetype varchar(255) not null,
    aggregateid varchar(255) not null,
    type varchar(255) not null,
    payload text
);
