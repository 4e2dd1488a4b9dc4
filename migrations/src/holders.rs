//! Who holds a lock that a step waits for: others' transactions, which a person is told of, and autovacuum, which gives way.
//!
//! That they cannot be asked for is no second failure: nobody is named then, and nothing is taken for autovacuum.

use sqlx::PgConnection;

/// Who holds a lock on anything of the schema in a transaction that is older than a step waits, the oldest first. A transaction that is
/// prepared has no process.
const LIST: &str = "
    select string_agg(said, '; ' order by since nulls first)
    from (
        select coalesce(
                   'process ' || held.pid || ' (login ' || coalesce(busy.usename, case when busy.pid is not null and busy.usesysid is null then 'none: autovacuum' end, 'unknown') || ', application \"' || coalesce(busy.application_name, '')
                       || '\", ' || coalesce('in its transaction since ' || to_char(busy.xact_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC',
                                             'since when is not ours to see') || ')',
                   'prepared transaction ' || prepared.gid || ' (login ' || prepared.owner || ', since '
                       || to_char(prepared.prepared at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC)') as said,
               coalesce(busy.xact_start, prepared.prepared) as since
        from (
            select distinct l.pid, own.transactionid as transaction
            from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation
            left join pg_catalog.pg_locks own
                on l.pid is null and own.pid is null and own.virtualtransaction = l.virtualtransaction and own.locktype = 'transactionid'
            where l.locktype = 'relation' and l.granted and l.pid is distinct from pg_backend_pid()
              and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
              and c.relnamespace = (select oid from pg_catalog.pg_namespace where nspname = 'outbox')
        ) held
        left join pg_catalog.pg_stat_activity busy on busy.pid = held.pid
        left join pg_catalog.pg_prepared_xacts prepared on prepared.transaction::text = held.transaction::text
        where coalesce(busy.xact_start, prepared.prepared) < clock_timestamp() - interval '300 milliseconds' is not false
        order by since nulls first
        limit 5
    ) holder";

/// Whether autovacuum is at work on a table of the schema. Its workers are the processes without a login, which everybody may see; the name
/// of their kind only who reads all statistics.
const IS_VACUUMED: &str = "
    select exists (
        select from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation
        join pg_catalog.pg_stat_activity busy on busy.pid = l.pid
        where l.locktype = 'relation' and l.granted and l.mode = 'ShareUpdateExclusiveLock' and busy.usesysid is null
          and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
          and c.relnamespace = (select oid from pg_catalog.pg_namespace where nspname = 'outbox')
    )";

/// In words, the oldest first; none if nobody does any more.
pub(crate) async fn name(conn: &mut PgConnection) -> Option<String> {
    sqlx::query_scalar(LIST)
        .persistent(false)
        .fetch_one(conn)
        .await
        .unwrap_or_default()
}

/// Whether one of them is autovacuum.
pub(crate) async fn is_autovacuum(conn: &mut PgConnection) -> bool {
    sqlx::query_scalar(IS_VACUUMED)
        .persistent(false)
        .fetch_one(conn)
        .await
        .unwrap_or_default()
}
