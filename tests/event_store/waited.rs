//! An append that waited for its stream: whatever was done meanwhile is found out.

use outbox_core::append::NewEvent;
use outbox_core::event_store::{self, Error, Expected, Outcome, StreamName};
use sqlx::{Connection as _, Executor as _, PgConnection};
use system_tests::{Result, World};
use tokio::task::JoinHandle;

fn event() -> Vec<NewEvent> {
    vec![NewEvent::stored("placed")]
}

async fn append(connection: &mut PgConnection, expected: Expected) -> Result<Outcome> {
    let stream = StreamName::new("a", 1)?;
    Ok(event_store::append(connection, &stream, expected, event()).await?)
}

/// A database with an event in the stream `a-1`.
async fn a_stream() -> Result<(World, PgConnection)> {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let outcome = append(&mut connection, Expected::NoStream).await?;
    assert!(
        matches!(outcome, Outcome::Appended { version: 1, .. }),
        "{outcome:?}"
    );
    Ok((world, connection))
}

/// An append at version 1 that waits for somebody.
async fn one_that_waits(world: &World) -> Result<JoinHandle<std::result::Result<Outcome, Error>>> {
    one_that_waits_with(world, event()).await
}

async fn one_that_waits_with(
    world: &World,
    events: Vec<NewEvent>,
) -> Result<JoinHandle<std::result::Result<Outcome, Error>>> {
    let mut other = world.connect().await?;
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut other)
        .await?;
    let stream = StreamName::new("a", 1)?;
    let waiting =
        tokio::spawn(
            async move { event_store::append(&mut other, &stream, Expected::Version(1), events).await },
        );
    let mut watcher = world.connect().await?;
    system_tests::patience::until("it waits", std::time::Duration::from_secs(120), async || {
        let is_waiting: bool =
            sqlx::query_scalar("select exists (select from pg_locks where pid = $1 and not granted)")
                .bind(pid)
                .fetch_one(&mut watcher)
                .await?;
        Ok(is_waiting.then_some(()))
    })
    .await?;
    Ok(waiting)
}

#[tokio::test]
async fn a_version_that_was_taken_meanwhile_is_a_conflict() -> Result {
    let (world, mut connection) = a_stream().await?;
    let mut first = connection.begin().await?;
    let outcome = append(&mut first, Expected::Version(1)).await?;
    assert!(
        matches!(outcome, Outcome::Appended { version: 2, .. }),
        "{outcome:?}"
    );
    let waiting = one_that_waits(&world).await?;
    first.commit().await?;
    assert_eq!(waiting.await??, Outcome::Conflict { actual: 2 });
    Ok(())
}

#[tokio::test]
async fn a_version_that_was_given_back_meanwhile_is_taken() -> Result {
    let (world, mut connection) = a_stream().await?;
    let mut first = connection.begin().await?;
    let outcome = append(&mut first, Expected::Version(1)).await?;
    assert!(
        matches!(outcome, Outcome::Appended { version: 2, .. }),
        "{outcome:?}"
    );
    let waiting = one_that_waits(&world).await?;
    first.rollback().await?;
    let outcome = waiting.await??;
    assert!(
        matches!(outcome, Outcome::Appended { version: 2, .. }),
        "{outcome:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_stream_that_was_buried_meanwhile_takes_nothing() -> Result {
    let (world, mut connection) = a_stream().await?;
    let mut first = connection.begin().await?;
    first
        .execute("select outbox.tombstone_stream('a-1', 'a test')")
        .await?;
    let waiting = one_that_waits(&world).await?;
    first.commit().await?;
    let told = waiting.await?.expect_err("the stream is buried").to_string();
    assert!(told.contains("is buried"), "{told}");
    let stored: i64 = sqlx::query_scalar("select count(*) from outbox.log")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(stored, 0);
    Ok(())
}

#[tokio::test]
async fn events_that_were_archived_or_removed_meanwhile_leave_the_version_as_it_is() -> Result {
    for done in [
        "select outbox.archive_stream('a-1', 1, 'a test')",
        "select outbox.truncate_stream('a-1', 2, 'a test')",
    ] {
        let (world, mut connection) = a_stream().await?;
        let mut first = connection.begin().await?;
        first.execute(done).await?;
        let waiting = one_that_waits(&world).await?;
        first.commit().await?;
        let outcome = waiting.await??;
        assert!(
            matches!(outcome, Outcome::Appended { version: 2, .. }),
            "{done}: {outcome:?}"
        );
    }
    Ok(())
}

/// The version that is expected is there before and behind it, and the next one was there for a while: it was given once, and is not given again.
#[tokio::test]
async fn a_version_that_was_taken_and_removed_meanwhile_is_not_given_again() -> Result {
    let (world, mut connection) = a_stream().await?;
    let mut first = connection.begin().await?;
    let outcome = append(&mut first, Expected::Version(1)).await?;
    assert!(
        matches!(outcome, Outcome::Appended { version: 2, .. }),
        "{outcome:?}"
    );
    first
        .execute("select outbox.truncate_stream('a-1', 3, 'a test')")
        .await?;
    let waiting = one_that_waits(&world).await?;
    first.commit().await?;
    assert_eq!(waiting.await??, Outcome::Conflict { actual: 2 });
    let outcome = append(&mut connection, Expected::Version(2)).await?;
    assert!(
        matches!(outcome, Outcome::Appended { version: 3, .. }),
        "{outcome:?}"
    );
    Ok(())
}

/// An id belongs to one event, also where the other one was appended while this one waited.
#[tokio::test]
async fn an_id_that_was_used_for_another_stream_meanwhile_is_refused() -> Result {
    let (world, mut connection) = a_stream().await?;
    let id = uuid::Uuid::now_v7();
    let mut first = connection.begin().await?;
    first
        .execute("select from outbox.stream where name = 'a-1' for update")
        .await?;
    let waiting = one_that_waits_with(&world, vec![NewEvent::stored("placed").id(id)]).await?;
    let other = StreamName::new("b", 1)?;
    let event = NewEvent::stored("placed").id(id).source("/another");
    let outcome = event_store::append(&mut first, &other, Expected::NoStream, vec![event]).await?;
    assert!(matches!(outcome, Outcome::Appended { .. }), "{outcome:?}");
    first.commit().await?;
    let told = waiting.await?.expect_err("the id is another event's").to_string();
    assert!(told.contains("another stream"), "{told}");
    Ok(())
}

/// By hand, too: whoever writes a tombstone into the audit.
#[tokio::test]
async fn a_tombstone_by_hand_is_one() -> Result {
    let (_world, mut connection) = a_stream().await?;
    connection
        .execute(
            "insert into outbox.stream_step (stream, action, through, events, reason)
             select id, 'tombstone', 1, 0, 'by hand' from outbox.stream where name = 'a-1'",
        )
        .await?;
    let told = append(&mut connection, Expected::Version(1))
        .await
        .expect_err("the stream is buried")
        .to_string();
    assert!(told.contains("is buried"), "{told}");
    Ok(())
}
