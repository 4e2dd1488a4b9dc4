//! Archive, restore, truncate, tombstone: what is read afterwards, what is refused, and that rows leave in no other way.

use std::time::Duration;

use outbox_core::append::NewEvent;
use outbox_core::event_store::decide::Repository;
use outbox_core::event_store::keep::{self, Chunk, Standing};
use outbox_core::event_store::{self, Error, Expected, Outcome, StoredEvent, StreamName, StreamRead};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use system_tests::patience::until;
use system_tests::{Failure, Login, Relay, Result, World};

use crate::points::Points;

const REASON: &str = "closed long ago";

fn stream(name: &str) -> StreamName {
    name.parse().expect("a good name")
}

fn earned(number: usize) -> NewEvent {
    NewEvent::stored("points.earned").json(&serde_json::json!({ "points": number }))
}

async fn fill(connection: &mut PgConnection, stream: &StreamName, events: usize) -> Result<Vec<NewEvent>> {
    let all: Vec<NewEvent> = (1..=events).map(earned).collect();
    let outcome = event_store::append(connection, stream, Expected::Any, all.clone()).await?;
    assert!(matches!(outcome, Outcome::Appended { .. }), "{outcome:?}");
    Ok(all)
}

async fn all_of(connection: &mut PgConnection, stream: &StreamName) -> Result<Vec<StoredEvent>> {
    Ok(event_store::read_page(connection, &StreamRead::of(stream)).await?)
}

fn chunk(events: u64, is_finished: bool) -> Chunk {
    Chunk { events, is_finished }
}

/// The code and the text with which the database refused.
fn refusal<T: std::fmt::Debug>(outcome: std::result::Result<T, Error>) -> Result<(String, String)> {
    match outcome {
        Err(Error::Database { code, message, .. }) => Ok((code, message)),
        other => Err(Failure::new(format!("not refused: {other:?}"))),
    }
}

/// Position and transaction id of each version, whatever piece they are in.
async fn places(connection: &mut PgConnection, stream: &StreamName) -> Result<Vec<(i64, i64, String)>> {
    Ok(sqlx::query_as(
        "select version, position, transaction_id::text || ' ' || recorded_at from outbox.stored_event where stream = $1 order by version",
    )
    .bind(stream.as_str())
    .fetch_all(connection)
    .await?)
}

#[tokio::test]
async fn what_is_archived_is_read_as_before_and_comes_back() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let pool = world.log().pool_of(Login::Maintainer).await?;
    let mut person = pool.acquire().await?;
    let order = stream("points-1");
    let appended = fill(&mut connection, &order, 25).await?;
    let (before, places_before) = (
        all_of(&mut connection, &order).await?,
        places(&mut connection, &order).await?,
    );

    let mut chunks = Vec::new();
    for _ in 0..3 {
        chunks.push(keep::archive_stream(&mut person, &order, Some(20), REASON, 8).await?);
    }
    assert_eq!(chunks, [chunk(8, false), chunk(8, false), chunk(4, true)]);
    let archived = all_of(&mut connection, &order).await?;
    assert_eq!(archived.iter().filter(|event| event.is_archived).count(), 20);
    let as_before = |events: Vec<StoredEvent>| -> Vec<StoredEvent> {
        let hot = |event| StoredEvent {
            is_archived: false,
            ..event
        };
        events.into_iter().map(hot).collect()
    };
    assert_eq!(as_before(archived), before);
    assert_eq!(places(&mut connection, &order).await?, places_before);
    let standing = keep::standing(&mut connection, &order).await?;
    let present = |archived_through| Standing::Present {
        version: 25,
        first_version: Some(1),
        archived_through,
    };
    assert_eq!(standing, present(Some(20)));

    // All of it: the stream goes on where it was, and knows its events again.
    assert_eq!(
        keep::archive_stream(&mut person, &order, None, REASON, 100).await?,
        chunk(5, true)
    );
    let again = event_store::append(&mut connection, &order, Expected::NoStream, appended).await?;
    assert!(
        matches!(again, Outcome::AlreadyAppended { version: 25, .. }),
        "{again:?}"
    );
    let next = event_store::append(&mut connection, &order, Expected::Version(25), vec![earned(26)]).await?;
    assert!(matches!(next, Outcome::Appended { version: 26, .. }), "{next:?}");

    // The newest first, so that the hot piece always has the end of the stream.
    assert_eq!(
        keep::restore_stream(&mut person, &order, REASON, 15).await?,
        chunk(15, false)
    );
    assert_eq!(event_store::stream_version(&mut connection, &order).await?, 26);
    let hot: Vec<u64> = all_of(&mut connection, &order)
        .await?
        .iter()
        .filter(|event| !event.is_archived)
        .map(|event| event.version)
        .collect();
    assert_eq!(hot, (11..=26).collect::<Vec<_>>());
    assert_eq!(
        keep::restore_stream(&mut person, &order, REASON, 15).await?,
        chunk(10, true)
    );
    assert_eq!(all_of(&mut connection, &order).await?[..25], before[..]);
    assert_eq!(places(&mut connection, &order).await?[..25], places_before[..]);

    let audit: Vec<(String, i64, i64, String, String)> = sqlx::query_as(
        "select action, through, events, reason, actor from outbox.stream_step order by number",
    )
    .fetch_all(&mut connection)
    .await?;
    let told: Vec<_> = audit
        .iter()
        .map(|step| (step.0.as_str(), step.1, step.2))
        .collect();
    assert_eq!(
        told,
        [
            ("archive", 8, 8),
            ("archive", 16, 8),
            ("archive", 20, 4),
            ("archive", 25, 5),
            ("restore", 25, 15),
            ("restore", 10, 10)
        ]
    );
    assert!(
        audit.iter().all(|step| step.3 == REASON && step.4 != "postgres"),
        "{audit:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_was_truncated_is_gone_and_the_stream_goes_on() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let pool = world.log().pool_of(Login::Maintainer).await?;
    let mut person = pool.acquire().await?;
    let points = stream("points-1");
    fill(&mut connection, &points, 10).await?;
    let _ = keep::archive_stream(&mut person, &points, Some(3), REASON, 100).await?;

    let (code, text) = refusal(keep::truncate_stream(&mut person, &points, 12, REASON, 100).await)?;
    assert!(
        code == "22023" && text.contains("1 to 11, got 12"),
        "{code} {text}"
    );
    assert_eq!(
        keep::truncate_stream(&mut person, &points, 6, REASON, 2).await?,
        chunk(2, false)
    );
    assert_eq!(
        keep::truncate_stream(&mut person, &points, 6, REASON, 100).await?,
        chunk(3, true)
    );
    assert_eq!(
        keep::truncate_stream(&mut person, &points, 6, REASON, 100).await?,
        chunk(0, true)
    );
    let versions: Vec<u64> = all_of(&mut connection, &points)
        .await?
        .iter()
        .map(|event| event.version)
        .collect();
    assert_eq!(versions, [6, 7, 8, 9, 10]);
    let repository = Repository::<Points>::new()?;
    let loaded = repository.load(&mut connection, &points).await?;
    assert_eq!((loaded.version, loaded.state.moves), (10, 5));

    // Nothing left: the version is still where it was, for appends and for aggregates.
    assert_eq!(
        keep::truncate_stream(&mut person, &points, 11, REASON, 100).await?,
        chunk(5, true)
    );
    let loaded = repository.load(&mut connection, &points).await?;
    assert_eq!((loaded.version, loaded.state.moves), (10, 0));
    let standing = keep::standing(&mut connection, &points).await?;
    let nothing_left = Standing::Present {
        version: 10,
        first_version: None,
        archived_through: None,
    };
    assert_eq!(standing, nothing_left);
    let early = event_store::append(&mut connection, &points, Expected::Version(5), vec![earned(1)]).await?;
    assert_eq!(early, Outcome::Conflict { actual: 10 });
    let next = event_store::append(&mut connection, &points, Expected::Version(10), vec![earned(1)]).await?;
    assert!(matches!(next, Outcome::Appended { version: 11, .. }), "{next:?}");
    Ok(())
}

#[tokio::test]
async fn a_stream_with_a_tombstone_is_gone_for_reads_and_refuses_appends() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let pool = world.log().pool_of(Login::Maintainer).await?;
    let mut person = pool.acquire().await?;
    let points = stream("points-1");
    fill(&mut connection, &points, 10).await?;
    let _ = keep::archive_stream(&mut person, &points, Some(3), REASON, 100).await?;
    assert_eq!(
        keep::standing(&mut connection, &stream("points-2")).await?,
        Standing::Absent
    );

    assert_eq!(
        keep::tombstone_stream(&mut person, &points, REASON, 6).await?,
        chunk(6, false)
    );
    assert_eq!(
        keep::tombstone_stream(&mut person, &points, REASON, 6).await?,
        chunk(4, true)
    );
    assert_eq!(
        keep::standing(&mut connection, &points).await?,
        Standing::Gone { version: 10 }
    );
    for read in [StreamRead::of(&points), StreamRead::of(&points).backward()] {
        let gone = event_store::read_page(&mut connection, &read).await;
        assert!(
            matches!(&gone, Err(Error::Gone { stream }) if *stream == points),
            "{gone:?}"
        );
    }
    let load = Repository::<Points>::new()?.load(&mut connection, &points).await;
    assert!(matches!(load, Err(Error::Gone { .. })), "{load:?}");
    for expected in [Expected::Any, Expected::Version(10), Expected::NoStream] {
        let (code, text) =
            refusal(event_store::append(&mut connection, &points, expected, vec![earned(1)]).await)?;
        assert!(code == "55000" && text.contains("tombstone"), "{code} {text}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_yet_published_stays() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let pool = world.log().pool_of(Login::Maintainer).await?;
    let mut person = pool.acquire().await?;
    let (public, private) = (stream("points-1"), stream("points-2"));
    let events = vec![earned(1), earned(2).publish_to("points"), earned(3)];
    let outcome = event_store::append(&mut connection, &public, Expected::Any, events).await?;
    assert!(matches!(outcome, Outcome::Appended { .. }));
    fill(&mut connection, &private, 3).await?;

    // Before any relay was there, and then while the topic waits for a person.
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    drop(relay);
    let held_back = stream("points-3");
    let event = vec![earned(1).publish_to("points")];
    let outcome = event_store::append(&mut connection, &held_back, Expected::Any, event).await?;
    assert!(matches!(outcome, Outcome::Appended { .. }));
    for refused in [
        keep::archive_stream(&mut person, &held_back, None, REASON, 100).await,
        keep::truncate_stream(&mut person, &held_back, 2, REASON, 100).await,
        keep::tombstone_stream(&mut person, &held_back, REASON, 100).await,
    ] {
        let (code, text) = refusal(refused)?;
        assert!(
            code == "55000" && text.contains("version 1: it is not yet published to topic points"),
            "{code} {text}"
        );
    }
    assert_eq!(all_of(&mut connection, &held_back).await?.len(), 1);
    // What goes nowhere waits for nobody.
    assert_eq!(
        keep::truncate_stream(&mut person, &private, 4, REASON, 100).await?,
        chunk(3, true)
    );

    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let done = until(
        "the events are passed",
        Duration::from_secs(60),
        async || match keep::tombstone_stream(&mut person, &held_back, REASON, 100).await {
            Ok(done) => Ok(Some(done)),
            Err(Error::Database { code, .. }) if code == "55000" => Ok(None),
            Err(other) => Err(other.into()),
        },
    )
    .await?;
    assert_eq!(done, chunk(1, true));
    assert_eq!(
        keep::archive_stream(&mut person, &public, None, REASON, 100).await?,
        chunk(3, true)
    );
    Ok(())
}

#[tokio::test]
async fn what_a_reissue_in_progress_needs_stays() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let points = stream("points-1");
    let events = vec![earned(1).publish_to("points")];
    let outcome = event_store::append(&mut connection, &points, Expected::Any, events).await?;
    assert!(matches!(outcome, Outcome::Appended { .. }));
    until("it is passed", Duration::from_secs(60), async || {
        let mut attempt = connection.begin().await?;
        let passed = keep::archive_stream(&mut attempt, &points, None, REASON, 100)
            .await
            .is_ok();
        attempt.rollback().await?;
        Ok(passed.then_some(()))
    })
    .await?;
    relay.terminate().await?;
    // As the ledger is while a re-issue of all of the topic goes out, and none of it is confirmed yet.
    sqlx::raw_sql(
        "insert into outbox.batch (number, batch_id, kind, era, epoch, snapshot, event_count, first_position, last_position, layouts)
         select number + 1, batch_id + 1, 'reissue', era, epoch, snapshot, 1, first_position, last_position, layouts
         from outbox.batch order by number desc limit 1;
         insert into outbox.reissue (batch_number, topic, partition, kept_batch_id, kept_position, kept_number, base, base_number,
                                     passed_snapshots, passed_positions, missing, asked_by)
         select max(number), 'points', 0, 0, 0, 0, '3:3:', 0, '{}', '{}', 'all of it', 'test' from outbox.batch;
         insert into outbox.share (batch_number, topic, partition, event_count, first_position, last_position, first_new_position)
         select (select max(number) from outbox.batch), topic, partition, event_count, first_position, last_position, first_position
         from outbox.share where topic = 'points' order by batch_number desc limit 1;
         insert into outbox.progress (topic, partition, batch_number, position, chain_batch_id, chain_position, epoch)
         select topic, partition, batch_number, first_position - 1, 0, 0, 1 from outbox.share where topic = 'points' order by batch_number desc limit 1;",
    )
    .execute(&mut connection)
    .await?;
    let (code, text) = refusal(keep::archive_stream(&mut connection, &points, None, REASON, 100).await)?;
    assert!(
        code == "55000" && text.contains("not yet published to topic points"),
        "{code} {text}"
    );
    sqlx::raw_sql(
        "insert into outbox.progress (topic, partition, batch_number, position, chain_batch_id, chain_position, epoch)
         select topic, partition, batch_number, last_position, 0, 0, 1 from outbox.share where topic = 'points' order by batch_number desc limit 1",
    )
    .execute(&mut connection)
    .await?;
    assert_eq!(
        keep::archive_stream(&mut connection, &points, None, REASON, 100).await?,
        chunk(1, true)
    );
    Ok(())
}

#[tokio::test]
async fn rows_leave_in_no_other_way_also_for_the_owner() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let (points, other) = (stream("points-1"), stream("points-2"));
    fill(&mut connection, &points, 6).await?;
    fill(&mut connection, &other, 6).await?;
    // Earlier transactions named versions 1 to 4, for both ways.
    let _ = keep::archive_stream(&mut connection, &points, Some(4), REASON, 100).await?;
    let _ = keep::restore_stream(&mut connection, &points, REASON, 100).await?;
    let _ = keep::archive_stream(&mut connection, &points, Some(2), REASON, 100).await?;
    // Steps of this transaction that name versions 3 and 4 of one stream, in the words of the functions.
    let step = |action: &str, through: u32| {
        format!(
            "insert into outbox.stream_step (stream, action, through, events, reason)
             select id, '{action}', {through}, 2, 'by hand' from outbox.stream where name = 'points-1'; "
        )
    };
    let of = |name: &str, condition: &str| {
        format!("where stream = (select id from outbox.stream where name = '{name}') and {condition}")
    };
    let delete = |condition: &str| format!("delete from outbox.log {}", of("points-1", condition));
    let update =
        |set: &str, condition: &str| format!("update outbox.log set {set} {}", of("points-1", condition));
    let to_archive = "retention = 'archive'";
    let refused = [
        // Without a step of this transaction.
        delete("version = 3"),
        delete("version = 2"),
        update(to_archive, "version = 3"),
        update("retention = 'stream'", "version = 2"),
        // What the step does not name: another version, another stream, another way.
        step("archive", 4) + &update(to_archive, "version = 5"),
        step("archive", 4) + &update(to_archive, "version between 3 and 5"),
        step("archive", 4)
            + &format!(
                "update outbox.log set {to_archive} {}",
                of("points-2", "version = 3")
            ),
        step("archive", 4) + &update("retention = 'stream'", "version = 2"),
        step("restore", 4) + &update(to_archive, "version = 3"),
        step("truncate", 4) + &update(to_archive, "version = 3"),
        step("truncate", 4) + &delete("version = 5"),
        step("truncate", 4) + &delete("version = 2"),
        step("truncate", 4) + &format!("delete from outbox.log {}", of("points-2", "version = 3")),
        step("tombstone", 4) + &delete("version = 6"),
        // What is archived is not deleted instead, and not changed on its way.
        step("archive", 4) + &delete("version = 3"),
        step("restore", 2) + &delete("version = 2"),
        step("archive", 4) + &update("retention = 'archive', data = '{}'", "version = 3"),
        step("archive", 4) + &update("retention = 'archive', position = position + 1000", "version = 3"),
        step("archive", 4) + &update("retention = 'archive', transaction_id = '5'", "version = 3"),
        step("archive", 4)
            + &update(
                "retention = 'archive', recorded_at = clock_timestamp()",
                "version = 3",
            ),
        step("archive", 4) + &update("retention = 'standard'", "version = 3"),
        step("archive", 4) + &update("data = '{}'", "version = 3"),
        step("archive", 4) + "truncate outbox.log_stream",
        step("truncate", 4) + "truncate outbox.log",
        step("truncate", 4) + "delete from outbox.stream_step",
        step("truncate", 4) + "delete from outbox.stream",
        // A mark of a move that is none.
        step("truncate", 4)
            + "select set_config('outbox.moving', position::text, true) from outbox.log where version = 6; "
            + &delete("version = 6"),
    ];
    let mut wrong = Vec::new();
    for statement in refused {
        let mut transaction = connection.begin().await?;
        let outcome = sqlx::raw_sql(AssertSqlSafe(statement.clone()))
            .execute(&mut *transaction)
            .await;
        transaction.rollback().await?;
        match outcome {
            Err(sqlx::Error::Database(error)) if error.message().contains("append-only") => {}
            other => wrong.push(format!("{statement}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What a step names does leave, and its move is not a deletion that stays open.
    for (statement, left) in [
        (step("archive", 4) + &update(to_archive, "version in (3, 4)"), 6),
        (
            step("restore", 2) + &update("retention = 'stream'", "version in (1, 2)"),
            6,
        ),
        (step("truncate", 4) + &delete("version in (3, 4)"), 4),
        (step("tombstone", 6) + &delete("version in (5, 6)"), 4),
    ] {
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut *transaction)
            .await?;
        assert_eq!(places(&mut transaction, &points).await?.len(), left);
        transaction.rollback().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_with_a_reason() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let points = stream("points-1");
    fill(&mut connection, &points, 3).await?;
    let absent = stream("points-9");
    for (refused, code, part) in [
        (
            keep::archive_stream(&mut connection, &points, None, "  ", 10).await,
            "22023",
            "a reason must be given",
        ),
        (
            keep::restore_stream(&mut connection, &points, REASON, 0).await,
            "22023",
            "1 to 100000 events, got 0",
        ),
        (
            keep::truncate_stream(&mut connection, &points, 0, REASON, 10).await,
            "22023",
            "1 to 4, got 0",
        ),
        (
            keep::tombstone_stream(&mut connection, &absent, REASON, 10).await,
            "P0002",
            "stream points-9 is not there",
        ),
    ] {
        let (seen, text) = refusal(refused)?;
        assert!(seen == code && text.contains(part), "{seen} {text}");
    }
    for login in [Login::Service, Login::Relay, Login::Operator] {
        let mut stranger = PgConnection::connect(&world.log().url_of(login)).await?;
        let (code, _) = refusal(keep::tombstone_stream(&mut stranger, &points, REASON, 10).await)?;
        assert_eq!(code, "42501", "{login:?}");
    }
    assert_eq!(all_of(&mut connection, &points).await?.len(), 3);
    let steps: i64 = sqlx::query_scalar("select count(*) from outbox.stream_step")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(steps, 0);
    Ok(())
}
