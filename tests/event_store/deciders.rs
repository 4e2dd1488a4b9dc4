//! Deciders on a real server: loaded, decided, appended, and decided again where somebody else was faster.

use std::time::Duration;

use outbox_core::append::NewEvent;
use outbox_core::event_store::decide::{Context, Decided, ExecuteError, Repository};
use outbox_core::event_store::{self, Error, Expected, Outcome, PageLimits, StreamRead};
use outbox_core::verdict::Verdict;
use sqlx::{Connection as _, PgConnection};
use system_tests::{Login, Result, World, patience};
use uuid::Uuid;

use crate::points::{Balance, Command, Points, PointsEvent, TooFew, points_of};

const LIMIT: Duration = Duration::from_secs(60);

fn repository() -> Repository<Points> {
    Repository::new().expect("types and upcasters fit")
}

/// Until somebody waits for a lock in the database of the test.
pub(crate) async fn somebody_waits(connection: &mut PgConnection) -> Result {
    patience::until("a transaction waits for the stream", LIMIT, async || {
        let waits: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')",
        )
        .fetch_one(&mut *connection)
        .await?;
        Ok(waits.then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_state_is_folded_page_by_page_and_a_refusal_leaves_the_transaction_usable() -> Result {
    let world = World::new().await?;
    let pool = world.log().pool_of(Login::Service).await?;
    let repository = repository().page(PageLimits {
        events_max: 2,
        bytes_max: 1 << 20,
    });
    let (stream, none) = (points_of(1), Context::none());
    let mut transaction = pool.begin().await?;
    for points in [5, 10, 15, 20, 25] {
        let decided = repository
            .execute(&mut transaction, &stream, &Command::Earn(points), &none)
            .await?;
        assert!(matches!(decided, Decided::Appended { .. }), "{decided:?}");
    }
    let refused = repository
        .execute(&mut transaction, &stream, &Command::Spend(76), &none)
        .await;
    match refused {
        Err(error @ ExecuteError::Refused(TooFew { there_are: 75 })) => {
            assert_eq!(error.verdict(), Verdict::Park)
        }
        other => panic!("not refused: {other:?}"),
    }
    let spent = repository
        .execute(&mut transaction, &stream, &Command::Spend(75), &none)
        .await?;
    let Decided::Appended {
        after,
        events,
        positions,
    } = spent
    else {
        panic!("not appended: {spent:?}")
    };
    assert_eq!(
        (after.version, after.state.points, events.len(), positions.len()),
        (7, 0, 2, 2)
    );
    let unchanged = repository
        .execute(&mut transaction, &stream, &Command::Earn(0), &none)
        .await?;
    assert!(matches!(unchanged, Decided::Unchanged(at) if at.version == 7));
    transaction.commit().await?;

    let mut connection = pool.acquire().await?;
    let loaded = repository.load(&mut connection, &stream).await?;
    assert_eq!(loaded.version, 7);
    assert_eq!(loaded.state, Balance { points: 0, moves: 7 });
    let nobody = repository.load(&mut connection, &points_of(2)).await?;
    assert_eq!((nobody.version, nobody.state), (0, Balance::default()));
    Ok(())
}

#[tokio::test]
async fn who_is_slower_reads_what_was_appended_and_decides_again() -> Result {
    let world = World::new().await?;
    let (pool, mut watcher) = (world.log().pool_of(Login::Service).await?, world.connect().await?);
    let (stream, none) = (points_of(1), Context::none());
    let mut first = pool.begin().await?;
    let _ = repository()
        .execute(&mut first, &stream, &Command::Earn(50), &none)
        .await?;
    first.commit().await?;
    for (attempts, spend) in [(2, 35), (1, 3)] {
        let mut faster = pool.begin().await?;
        let _ = repository()
            .execute(&mut faster, &stream, &Command::Spend(5), &none)
            .await?;
        let slower = tokio::spawn({
            let (pool, stream) = (pool.clone(), stream.clone());
            async move {
                let mut transaction = pool.begin().await?;
                let decided = repository()
                    .attempts(attempts)
                    .execute(
                        &mut transaction,
                        &stream,
                        &Command::Spend(spend),
                        &Context::none(),
                    )
                    .await;
                transaction.commit().await?;
                Ok::<_, sqlx::Error>(decided)
            }
        });
        somebody_waits(&mut watcher).await?;
        faster.commit().await?;
        match (attempts, slower.await??) {
            (2, Ok(Decided::Appended { after, .. })) => {
                assert_eq!((after.version, after.state.points), (5, 10))
            }
            (1, Err(error @ ExecuteError::Conflict(_))) => {
                assert_eq!(error.verdict(), Verdict::Retry);
                assert!(
                    error
                        .to_string()
                        .contains("is at version 7, and version 5 was expected"),
                    "{error}"
                );
            }
            (_, other) => panic!("{other:?}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn commands_at_once_lose_no_update() -> Result {
    let world = World::new().await?;
    let pool = world.log().pool_of(Login::Service).await?;
    let stream = points_of(1);
    let mut connection = pool.acquire().await?;
    let _ = repository()
        .execute(&mut connection, &stream, &Command::Earn(100), &Context::none())
        .await?;
    let spenders: Vec<_> = (0..8)
        .map(|_| {
            let (pool, stream) = (pool.clone(), stream.clone());
            tokio::spawn(async move {
                let (repository, mut spent) = (repository(), 0);
                loop {
                    let mut transaction = pool.begin().await?;
                    let decided = repository
                        .execute(&mut transaction, &stream, &Command::Spend(3), &Context::none())
                        .await;
                    match decided {
                        Ok(_) => transaction.commit().await?,
                        Err(ExecuteError::Refused(TooFew { there_are })) => return Ok((spent, there_are)),
                        Err(other) => return Err(sqlx::Error::Protocol(other.to_string())),
                    }
                    spent += 3;
                }
            })
        })
        .collect();
    let mut total = 0;
    for spender in spenders {
        let (spent, there_are) = spender.await??;
        assert!(there_are < 3, "refused with {there_are} points there");
        total += spent;
    }
    let loaded = repository().load(&mut connection, &stream).await?;
    assert_eq!((total, loaded.state.points), (99, 1));
    assert_eq!(loaded.version, loaded.state.moves, "each version was folded once");
    Ok(())
}

#[tokio::test]
async fn a_repeated_command_is_answered_with_what_it_did() -> Result {
    let world = World::new().await?;
    let (pool, mut watcher) = (world.log().pool_of(Login::Service).await?, world.connect().await?);
    let (stream, repository) = (points_of(1), repository());
    let mut connection = pool.acquire().await?;
    let _ = repository
        .execute(&mut connection, &stream, &Command::Earn(10), &Context::none())
        .await?;
    let spend = Context::of_command(Uuid::now_v7())
        .correlation_id("visit-3")
        .causation_id("click-4");

    let mut first = pool.begin().await?;
    let done = repository
        .execute(&mut first, &stream, &Command::Spend(10), &spend)
        .await?;
    let Decided::Appended {
        events, positions, ..
    } = done
    else {
        panic!("{done:?}")
    };
    // The same command at work twice: the second waits for the first.
    let second = tokio::spawn({
        let (pool, stream, spend, repository) =
            (pool.clone(), stream.clone(), spend.clone(), repository.clone());
        async move {
            let mut transaction = pool.begin().await?;
            let decided = repository
                .execute(&mut transaction, &stream, &Command::Spend(10), &spend)
                .await;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(decided)
        }
    });
    somebody_waits(&mut watcher).await?;
    first.commit().await?;
    let again = second.await??;
    let later = repository
        .execute(&mut connection, &stream, &Command::Earn(7), &Context::none())
        .await?;
    assert!(matches!(later, Decided::Appended { .. }));
    // The state would refuse it now, and it is found behind others' events too.
    let much_later = repository
        .execute(&mut connection, &stream, &Command::Spend(10), &spend)
        .await;
    for answer in [again, much_later] {
        match answer {
            Ok(Decided::AlreadyAppended {
                version,
                events: then,
                positions: there,
            }) => {
                assert_eq!((version, &then, &there), (3, &events, &positions));
            }
            other => panic!("{other:?}"),
        }
    }
    let page = event_store::read_page(&mut connection, &StreamRead::of(&stream)).await?;
    assert_eq!(page.len(), 4);
    assert_eq!(page[2].event.correlation_id.as_deref(), Some("visit-3"));
    assert_eq!(page[2].event.causation_id.as_deref(), Some("click-4"));
    assert_eq!(page[2].event.schema_version.as_deref(), Some("1"));
    // To another stream it is another command.
    let elsewhere = repository
        .execute(&mut connection, &points_of(2), &Command::Earn(1), &spend)
        .await?;
    assert!(matches!(elsewhere, Decided::Appended { .. }));
    Ok(())
}

#[tokio::test]
async fn an_event_that_nobody_knows_stops_the_load_and_is_named() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let stream = points_of(1);
    let earned = |version: &str| {
        NewEvent::stored("points.earned")
            .schema_version(version)
            .json(&serde_json::json!({ "points": 1 }))
    };
    for (unknown, said) in [
        (
            NewEvent::stored("points.frozen").json(&"secret"),
            "knows no such type",
        ),
        (earned("2"), "up to version 1"),
        (NewEvent::stored("points.earned").json(&"secret"), "points.earned"),
    ] {
        let mut transaction = connection.begin().await?;
        let appended = event_store::append(
            &mut transaction,
            &stream,
            Expected::NoStream,
            vec![earned("1"), unknown],
        )
        .await?;
        assert!(matches!(appended, Outcome::Appended { version: 2, .. }));
        match repository().load(&mut transaction, &stream).await {
            Err(error @ Error::Unreadable(_)) => {
                let text = error.to_string();
                assert!(
                    text.contains("event 2 of stream points-1") && text.contains(said),
                    "{text}"
                );
                assert!(!text.contains("secret"), "{text}");
                assert_eq!(error.verdict(), Verdict::Stop);
            }
            other => panic!("{other:?}"),
        }
        transaction.rollback().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_said_of_each_event_is_stored_with_it() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let repository = repository().prepare(|event, new_event| match event {
        PointsEvent::Earned { .. } => new_event.publish_to("points").tag("campaign:9"),
        PointsEvent::Spent { .. } => new_event.private(),
    });
    for command in [Command::Earn(9), Command::Spend(2)] {
        let _ = repository
            .execute(&mut connection, &points_of(1), &command, &Context::none())
            .await?;
    }
    let page = event_store::read_page(&mut connection, &StreamRead::of(&points_of(1))).await?;
    let topics: Vec<_> = page.iter().map(|event| event.topic.as_deref()).collect();
    assert_eq!(topics, [Some("points"), None, None]);
    assert_eq!(page[0].tags, ["campaign:9"]);
    Ok(())
}
