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
