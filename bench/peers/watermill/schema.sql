-- The two tables that its subscriber makes (`InitializeSchema`), made before it so that producers can begin before it.
create table "watermill_outbox" (
    "offset" bigserial,
    "uuid" varchar(36) not null,
    "created_at" timestamp not null default current_timestamp,
    "payload" json default null,
    "metadata" json default null,
    "transaction_id" xid8 not null,
    primary key ("transaction_id", "offset")
);

create table "watermill_offsets_outbox" (
    consumer_group varchar(255) not null,
    offset_acked bigint,
    last_processed_transaction_id xid8 not null,
    primary key (consumer_group)
);
