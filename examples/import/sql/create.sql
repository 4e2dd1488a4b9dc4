-- How far each import came.
create table if not exists outbox_import.progress (
    name text primary key,
    mapping text not null,
    records bigint not null default 0 check (records >= 0),
    digest bytea not null default '',
    events bigint not null default 0,
    skipped bigint not null default 0,
    begun_at timestamptz not null default clock_timestamp(),
    moved_at timestamptz not null default clock_timestamp()
)
