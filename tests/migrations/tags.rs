//! Tags that were stored before there was an index of them.

use outbox_core::event_store::boundary::{Condition, Matching, TaggedRead, read_tagged_page};
use outbox_migrations::{Set, migrate_log};
use sqlx::{Executor, PgConnection};
use system_tests::patience::until;
use system_tests::{Failure, Result, Schema, World};

use crate::locks::{LIMIT, at_version};

async fn append(connection: &mut PgConnection, stream: &str, tag: &str) -> Result {
    sqlx::query("select outbox.append_to_stream($1, null, json_build_array(json_build_object('type', 'a', 'tags', array[$2]), json_build_object('type', 'b')))")
        .bind(stream)
        .bind(tag)
        .execute(connection)
        .await?;
    Ok(())
}

async fn found(connection: &mut PgConnection, tag: &str) -> Result<Vec<String>> {
    let page = read_tagged_page(connection, &TaggedRead::of(&Condition::of(Matching::tag(tag)))).await?;
    Ok(page.events.iter().map(|event| event.stream.to_string()).collect())
}

#[tokio::test]
async fn tags_from_before_are_found_those_of_open_transactions_included() -> Result {
    are_found_by("read committed").await
}

/// A step that looks behind its lock must see what was committed while it waited, whatever the default.
#[tokio::test]
async fn tags_from_before_are_found_where_transactions_are_repeatable_read_by_default() -> Result {
    are_found_by("repeatable read").await
}

async fn are_found_by(isolation: &'static str) -> Result {
    let world = World::with_schema(Schema::Empty).await?;
    let tags = Set::Log.steps().iter().find(|step| step.name == "tags");
    at_version(
        &world,
        tags.ok_or_else(|| Failure::new("no step has this name"))?.version - 1,
    )
    .await?;
    let (mut connection, mut open, mut late) = (
        world.connect().await?,
        world.connect().await?,
        world.connect().await?,
    );
    for stream in ["any-1", "any-2", "any-3"] {
        append(&mut connection, stream, "old").await?;
    }
    connection
        .execute("select outbox.archive_stream('any-2', null, 'old'); select outbox.tombstone_stream('any-3', 'gone')")
        .await?;
    // Began before, and appends before, while and after it is migrated.
    open.execute("begin").await?;
    append(&mut open, "any-4", "open").await?;
    late.execute("begin; select 1").await?;
    let mut migrating = world.connect().await?;
    sqlx::query("select set_config('default_transaction_isolation', $1, false)")
        .bind(isolation)
        .execute(&mut migrating)
        .await?;
    let migrating = tokio::spawn(async move { migrate_log(&mut migrating).await });
    let mut watcher = world.connect().await?;
    until("the migration waits for who appended", LIMIT, async || {
        Ok(sqlx::query_scalar::<_, i32>(
            "select pid from pg_locks where not granted and relation = 'outbox.log_stream'::regclass",
        )
        .fetch_optional(&mut watcher)
        .await?)
    })
    .await?;
    append(&mut open, "any-5", "open").await?;
    append(&mut connection, "any-6", "meanwhile").await?;
    append(&mut connection, "any-8", "moved").await?;
    connection
        .execute("select outbox.truncate_stream('any-1', 2, 'old'); select outbox.archive_stream('any-8', null, 'done')")
        .await?;
    open.execute("commit").await?;
    migrating.await??;
    append(&mut late, "any-7", "late").await?;
    let held: i64 = sqlx::query_scalar(
        "select count(*) from pg_locks
         where pid = pg_backend_pid() and locktype = 'advisory' and not (classid = 28533 and objid = 1952608120)",
    )
    .fetch_one(&mut late)
    .await?;
    assert_eq!(held, 1, "the lock of its tag");
    late.execute("commit").await?;

    assert_eq!(found(&mut connection, "old").await?, ["any-2"]);
    assert_eq!(found(&mut connection, "open").await?, ["any-4", "any-5"]);
    assert_eq!(found(&mut connection, "meanwhile").await?, ["any-6"]);
    assert_eq!(found(&mut connection, "late").await?, ["any-7"]);
    assert_eq!(found(&mut connection, "moved").await?, ["any-8"]);
    let rows: i64 = sqlx::query_scalar("select count(*) from outbox.event_tag")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(rows, 6);
    Ok(())
}

/// The newest step that could be applied under a default of REPEATABLE READ.
const IN_ONE_TRANSACTION: i64 = 32;

#[tokio::test]
async fn tags_that_a_migration_left_out_are_put_in() -> Result {
    // GIVEN a database in which tags of some events are not in their index, archived ones among them, and one whose event is gone
    let world = World::with_schema(Schema::Empty).await?;
    at_version(&world, IN_ONE_TRANSACTION).await?;
    let mut connection = world.connect().await?;
    for (stream, tag) in [
        ("any-1", "kept"),
        ("any-2", "lost"),
        ("any-3", "lost"),
        ("any-4", "lost"),
    ] {
        append(&mut connection, stream, tag).await?;
    }
    connection
        .execute("select outbox.archive_stream('any-3', null, 'old'); select outbox.tombstone_stream('any-4', 'gone')")
        .await?;
    // As no migration can do it any more.
    connection
        .execute(
            "set session_replication_role = replica; delete from outbox.event_tag where tag = 'lost'; set session_replication_role = origin",
        )
        .await?;
    assert!(found(&mut connection, "lost").await?.is_empty());
    // WHEN it is migrated THEN they are found
    migrate_log(&mut connection).await?;
    assert_eq!(found(&mut connection, "lost").await?, ["any-2", "any-3"]);
    assert_eq!(found(&mut connection, "kept").await?, ["any-1"]);
    let rows: i64 = sqlx::query_scalar("select count(*) from outbox.event_tag")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(rows, 3);
    // AND a statement tells whether any is missing
    let missing = "select count(*) from outbox.find_untagged()";
    let count: i64 = sqlx::query_scalar(missing).fetch_one(&mut connection).await?;
    assert_eq!(count, 0);
    connection
        .execute(
            "set session_replication_role = replica; delete from outbox.event_tag where tag = 'kept'; set session_replication_role = origin",
        )
        .await?;
    let count: i64 = sqlx::query_scalar(missing).fetch_one(&mut connection).await?;
    assert_eq!(count, 1);
    Ok(())
}
