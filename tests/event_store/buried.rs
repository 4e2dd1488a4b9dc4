//! A stream that is deleted in chunks: between them nobody takes what is left of it for the stream.

use std::time::Duration;

use outbox_core::append::NewEvent;
use outbox_core::event_store::decide::Repository;
use outbox_core::event_store::keep::{self, Standing};
use outbox_core::event_store::{self, Error, Expected, Outcome, StreamName, StreamRead};
use sqlx::{Executor as _, PgConnection};
use system_tests::patience::until;
use system_tests::{Failure, Relay, Result, World};

use crate::points::Points;

const REASON: &str = "closed long ago";

fn name(stream: &str) -> StreamName {
    stream.parse().expect("a good name")
}

fn earned(points: usize) -> NewEvent {
    NewEvent::stored("points.earned").json(&serde_json::json!({ "points": points }))
}

async fn store(connection: &mut PgConnection, stream: &StreamName, events: Vec<NewEvent>) -> Result {
    let outcome = event_store::append(connection, stream, Expected::Any, events).await?;
    assert!(matches!(outcome, Outcome::Appended { .. }), "{outcome:?}");
    Ok(())
}

/// What a call did: events, and whether it was the last; or why it was refused.
async fn bury(
    connection: &mut PgConnection,
    stream: &StreamName,
    max: u32,
) -> Result<std::result::Result<(u64, bool), String>> {
    match keep::tombstone_stream(connection, stream, REASON, max).await {
        Ok(chunk) => Ok(Ok((chunk.events, chunk.is_finished))),
        Err(Error::Database { code, message, .. }) => Ok(Err(format!("{code} {message}"))),
        Err(other) => Err(other.into()),
    }
}

/// Nobody takes it for a stream.
async fn is_gone(connection: &mut PgConnection, stream: &StreamName, version: u64) -> Result {
    assert_eq!(
        keep::standing(connection, stream).await?,
        Standing::Gone { version }
    );
    for read in [StreamRead::of(stream), StreamRead::of(stream).backward()] {
        let read = event_store::read_page(connection, &read).await;
        assert!(matches!(read, Err(Error::Gone { .. })), "{read:?}");
    }
    let load = Repository::<Points>::new()?.load(connection, stream).await;
    assert!(matches!(load, Err(Error::Gone { .. })), "{load:?}");
    let by_sql: i64 = sqlx::query_scalar("select count(*) from outbox.read_stream($1)")
        .bind(stream.as_str())
        .fetch_one(&mut *connection)
        .await?;
    assert_eq!(by_sql, 0);
    for expected in [Expected::Any, Expected::Version(version), Expected::NoStream] {
        let append = event_store::append(connection, stream, expected, vec![earned(1)]).await;
        assert!(
            matches!(&append, Err(Error::Database { code, message, .. }) if code == "55000" && message.contains("is buried")),
            "{append:?}"
        );
    }
    let others = [
        keep::archive_stream(connection, stream, None, REASON, 10).await,
        keep::restore_stream(connection, stream, REASON, 10).await,
        keep::truncate_stream(connection, stream, 2, REASON, 10).await,
    ];
    for other in others {
        assert!(
            matches!(&other, Err(Error::Database { code, message, .. }) if code == "55000" && message.contains("is buried")),
            "{other:?}"
        );
    }
    Ok(())
}

async fn steps(connection: &mut PgConnection) -> Result<Vec<(String, i64, i64)>> {
    let told = "select action, through, events from outbox.stream_step order by number";
    Ok(sqlx::query_as(told).fetch_all(connection).await?)
}

#[tokio::test]
async fn a_stream_is_buried_before_its_events_go() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let points = name("points-1");
    store(&mut connection, &points, (1..=9).map(earned).collect()).await?;
    assert_eq!(bury(&mut connection, &points, 4).await?, Ok((4, false)));
    is_gone(&mut connection, &points, 9).await?;
    assert_eq!(bury(&mut connection, &points, 4).await?, Ok((4, false)));
    is_gone(&mut connection, &points, 9).await?;
    assert_eq!(bury(&mut connection, &points, 4).await?, Ok((1, true)));
    is_gone(&mut connection, &points, 9).await?;
    // Whoever had no answer asks again.
    assert_eq!(bury(&mut connection, &points, 4).await?, Ok((0, true)));
    let step = |through, events| ("tombstone".to_owned(), through, events);
    assert_eq!(
        steps(&mut connection).await?,
        [step(9, 0), step(4, 4), step(8, 4), step(9, 1)]
    );
    let left: i64 = sqlx::query_scalar("select count(*) from outbox.log")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(left, 0);
    // One that has no event left, and one that fits.
    let (empty, small) = (name("points-2"), name("points-3"));
    store(&mut connection, &empty, vec![earned(1)]).await?;
    store(&mut connection, &small, vec![earned(1), earned(2)]).await?;
    let _ = keep::truncate_stream(&mut connection, &empty, 2, REASON, 10).await?;
    assert_eq!(bury(&mut connection, &empty, 2).await?, Ok((0, true)));
    assert_eq!(bury(&mut connection, &small, 2).await?, Ok((2, true)));
    is_gone(&mut connection, &empty, 1).await?;
    is_gone(&mut connection, &small, 2).await?;
    assert_eq!(
        steps(&mut connection).await?[4..],
        [("truncate".to_owned(), 1, 1), step(1, 0), step(2, 2)]
    );
    Ok(())
}

#[tokio::test]
async fn a_stream_is_not_buried_while_one_of_its_events_must_stay() -> Result {
    // GIVEN a stream whose last event is not published
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let points = name("points-1");
    let mut events: Vec<NewEvent> = (1..=6).map(earned).collect();
    events.push(earned(7).publish_to("points"));
    store(&mut connection, &points, events).await?;
    // THEN the first chunk is refused, and nothing is done
    let refused = bury(&mut connection, &points, 2)
        .await?
        .expect_err("it must stay");
    assert!(
        refused.contains("version 7: it is not yet published to topic points"),
        "{refused}"
    );
    assert_eq!(steps(&mut connection).await?, []);
    store(&mut connection, &points, vec![earned(8)]).await?;

    // GIVEN that it is published and buried, and the topic waits for a person before the chunk with that event
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let done = until("it may go", Duration::from_secs(60), async || {
        Ok(bury(&mut connection, &points, 2).await?.ok())
    })
    .await?;
    assert_eq!(done, (2, false));
    relay.terminate().await?;
    connection
        .execute("insert into outbox.stream_action (topic, action, reason) values ('points', 'set_aside', 'too large')")
        .await?;
    assert_eq!(bury(&mut connection, &points, 4).await?, Ok((4, false)));
    let refused = bury(&mut connection, &points, 4)
        .await?
        .expect_err("it is needed");
    assert!(
        refused.contains("topic points partition 0 is set_aside"),
        "{refused}"
    );
    // THEN it stays buried, and the next call goes on
    is_gone(&mut connection, &points, 8).await?;
    connection
        .execute(
            "insert into outbox.stream_action (topic, action, reason) values ('points', 'resume', 'mended')",
        )
        .await?;
    assert_eq!(bury(&mut connection, &points, 4).await?, Ok((2, true)));
    is_gone(&mut connection, &points, 8).await?;
    Ok(())
}

#[tokio::test]
async fn who_appends_beside_a_tombstone_is_before_it_or_refused() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let points = name("points-1");
    store(&mut connection, &points, (1..=3).map(earned).collect()).await?;
    let mut person = world.connect().await?;
    person.execute("begin").await?;
    assert_eq!(bury(&mut person, &points, 1).await?, Ok((1, false)));
    // WHEN somebody appends before it is committed, THEN they wait, and are refused
    let stream = points.clone();
    let waiting = tokio::spawn(async move {
        let answer = event_store::append(&mut connection, &stream, Expected::Any, vec![earned(4)]).await;
        (connection, answer)
    });
    let mut observer = world.connect().await?;
    until("it waits for the stream", Duration::from_secs(60), async || {
        let waits: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')",
        )
        .fetch_one(&mut observer)
        .await?;
        Ok(waits.then_some(()))
    })
    .await?;
    person.execute("commit").await?;
    let (mut connection, answer) = waiting.await.map_err(|error| Failure::new(error.to_string()))?;
    assert!(
        matches!(&answer, Err(Error::Database { code, .. }) if code == "55000"),
        "{answer:?}"
    );
    is_gone(&mut connection, &points, 3).await
}
