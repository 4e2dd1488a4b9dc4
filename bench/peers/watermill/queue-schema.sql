-- The table of its queue schema, made before it so that producers can begin before it.
create table "watermill_outbox" (
    "offset" serial primary key,
    "uuid" varchar(36) not null,
    "payload" json default null,
    "metadata" json default null,
    "acked" boolean not null default false,
    "created_at" timestamp with time zone not null default current_timestamp
);
