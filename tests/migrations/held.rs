//! What columns of the log hold since checks no longer do, and what becomes of a database in which a row breaks it already.

use outbox_migrations::migrate_log;
use sqlx::{Executor, PgConnection};
use system_tests::{Result, Schema, World};

use crate::locks::at_version;

/// The first version in which the log had no checks.
const WITHOUT_CHECKS: i64 = 32;

/// What the database says to a row that somebody inserts by hand.
async fn refused(connection: &mut PgConnection, row: &'static str) -> Result<Option<String>> {
    match connection.execute(row).await {
        Ok(_) => Ok(None),
        Err(sqlx::Error::Database(error)) => Ok(error.code().map(Into::into)),
        Err(other) => Err(other.into()),
    }
}

const WITHOUT_TOPIC: &str =
    "insert into outbox.log (retention, id, source, type) values ('standard', gen_random_uuid(), '/', 'a')";

/// Columns of pieces that may be null in the log as a whole, and checks.
async fn held(connection: &mut PgConnection) -> Result<(Vec<String>, Vec<String>)> {
    let columns = sqlx::query_scalar(
        "select a.attrelid::regclass || '.' || a.attname from pg_attribute a
         where a.attnotnull and a.attname in ('topic', 'stream', 'version', 'category')
           and a.attrelid in ('outbox.log_standard'::regclass, 'outbox.log_audit'::regclass, 'outbox.log_durable'::regclass, 'outbox.log_stream'::regclass)
         order by 1",
    )
    .fetch_all(&mut *connection)
    .await?;
    let checks = sqlx::query_scalar(
        "select c.conrelid::regclass || '.' || c.conname from pg_constraint c
         where c.contype = 'c' and c.conrelid in (select relid from pg_partition_tree('outbox.log')) order by 1",
    )
    .fetch_all(connection)
    .await?;
    Ok((columns, checks))
}

#[tokio::test]
async fn an_event_without_a_topic_is_refused_where_it_would_pass() -> Result {
    // GIVEN a database in which nothing held that any more, and another table that upkeep has taken off
    let world = World::with_schema(Schema::Empty).await?;
    at_version(&world, WITHOUT_CHECKS).await?;
    let mut connection = world.connect().await?;
    connection
        .execute("create table outbox.log_standard_from_7 (like outbox.log_standard including defaults)")
        .await?;
    // WHEN it is migrated
    migrate_log(&mut connection).await?;
    // THEN the columns hold it, and no check that each append would read
    let (columns, checks) = held(&mut connection).await?;
    assert_eq!(
        columns,
        [
            "outbox.log_audit.topic",
            "outbox.log_durable.topic",
            "outbox.log_standard.topic",
            "outbox.log_stream.category",
            "outbox.log_stream.stream",
            "outbox.log_stream.version"
        ]
    );
    assert_eq!(checks, ["outbox.log_archive.stream_is_counted"]);
    for row in [
        WITHOUT_TOPIC,
        "insert into outbox.log (retention, id, source, type) values ('audit', gen_random_uuid(), '/', 'a')",
        "insert into outbox.log (retention, id, source, type) values ('durable', gen_random_uuid(), '/', 'a')",
        "insert into outbox.log (retention, topic, id, source, type) values ('stream', 'a', gen_random_uuid(), '/', 'a')",
    ] {
        assert_eq!(
            refused(&mut connection, row).await?.as_deref(),
            Some("23502"),
            "{row}"
        );
    }
    // AND what was taken off can be put back
    let is_held: bool = sqlx::query_scalar(
        "select attnotnull from pg_attribute where attrelid = 'outbox.log_standard_from_7'::regclass and attname = 'topic'",
    )
    .fetch_one(&mut connection)
    .await?;
    assert!(is_held);
    Ok(())
}

#[tokio::test]
async fn a_row_that_breaks_it_already_stops_no_migration() -> Result {
    // GIVEN an event without a topic, put in by hand
    let world = World::with_schema(Schema::Empty).await?;
    at_version(&world, WITHOUT_CHECKS).await?;
    let mut connection = world.connect().await?;
    assert_eq!(refused(&mut connection, WITHOUT_TOPIC).await?, None);
    // WHEN it is migrated THEN that goes through, and what is whole is held
    migrate_log(&mut connection).await?;
    let (columns, checks) = held(&mut connection).await?;
    assert!(
        !columns.contains(&"outbox.log_standard.topic".to_owned()),
        "{columns:?}"
    );
    assert!(
        columns.contains(&"outbox.log_audit.topic".to_owned()),
        "{columns:?}"
    );
    assert_eq!(checks, ["outbox.log_archive.stream_is_counted"]);
    connection
        .execute("select outbox.append('orders.placed', '{}')")
        .await?;
    Ok(())
}
