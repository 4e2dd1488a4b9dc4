//! What the event store refuses, with which words, and that nothing is half done then.

use outbox_core::append::{self, NewEvent};
use outbox_core::event_store::{self, Expected, Outcome, StreamAppend, StreamName};
use sqlx::{Connection as _, Executor as _, PgConnection};
use system_tests::{Result, World};

fn order(id: u32) -> StreamName {
    StreamName::new("order", id).expect("a good name")
}

async fn stored(connection: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select count(*) from outbox.log")
        .fetch_one(connection)
        .await?)
}

/// Each refused by the library, in a transaction that goes on.
#[tokio::test]
async fn what_breaks_a_rule_is_not_sent() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut transaction = connection.begin().await?;
    for (event, part) in [
        (NewEvent::stored("a").key("k"), "key: must be absent"),
        (NewEvent::new("t"), "type: must be given"),
        (NewEvent::stored("a b"), "type: must be 1 to 200"),
        (NewEvent::stored("a").publish_to("t t"), "topic: must be 1 to 200"),
        (NewEvent::stored("a").tag(""), "tags: each must be 1 to 200"),
        (
            NewEvent::stored("a").tag("t".repeat(201)),
            "tags: each must be 1 to 200",
        ),
        (
            (0..33).fold(NewEvent::stored("a"), |event, n| event.tag(n.to_string())),
            "tags: must be at most 32",
        ),
        (NewEvent::stored("a").json_text("{"), "data: must be valid JSON"),
        (
            NewEvent::stored("a").json_text(format!("\"{}\"", "x".repeat(300_000))),
            "data: must be at most",
        ),
    ] {
        let error = event_store::append(&mut transaction, &order(1), Expected::Any, vec![event])
            .await
            .expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.advice().is_empty());
    }
    let twice = || StreamAppend {
        stream: order(1),
        expected: Expected::Any,
        events: vec![],
    };
    let error = event_store::append_streams(&mut transaction, vec![twice(), twice()])
        .await
        .expect_err("a stream twice");
    assert!(error.to_string().contains("order-1 comes twice"), "{error}");
    // An event of a stream is none of the log alone.
    for event in [
        NewEvent::stored("a"),
        NewEvent::new("t").private(),
        NewEvent::new("t").tag("x"),
    ] {
        let error = append::append(&mut transaction, event)
            .await
            .expect_err("it has no home");
        assert!(error.to_string().contains("event_store::append"), "{error}");
    }
    let outcome = event_store::append(
        &mut transaction,
        &order(1),
        Expected::NoStream,
        vec![NewEvent::stored("a")],
    )
    .await?;
    assert!(
        matches!(outcome, Outcome::Appended { version: 1, .. }),
        "{outcome:?}"
    );
    transaction.commit().await?;
    assert_eq!(stored(&mut connection).await?, 1);
    Ok(())
}

#[tokio::test]
async fn under_one_snapshot_nothing_is_appended() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    for isolation in ["repeatable read", "serializable"] {
        let mut transaction = connection.begin().await?;
        transaction
            .execute(sqlx::AssertSqlSafe(format!(
                "set transaction isolation level {isolation}"
            )))
            .await?;
        let error = event_store::append(
            &mut transaction,
            &order(1),
            Expected::Any,
            vec![NewEvent::stored("a")],
        )
        .await
        .expect_err(isolation);
        assert!(error.to_string().contains("READ COMMITTED"), "{error}");
        assert_eq!(error.advice(), "Append in a READ COMMITTED transaction.");
        transaction.rollback().await?;
    }
    assert_eq!(stored(&mut connection).await?, 0);
    Ok(())
}

#[tokio::test]
async fn nobody_changes_or_deletes_what_is_stored() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let outcome = event_store::append(
        &mut connection,
        &order(1),
        Expected::Any,
        vec![NewEvent::stored("a")],
    )
    .await?;
    assert!(
        matches!(outcome, Outcome::Appended { version: 1, .. }),
        "{outcome:?}"
    );
    for statement in [
        "update outbox.log set version = 2",
        "update outbox.log set retention = 'archive'",
        "delete from outbox.log",
        "delete from outbox.log_stream",
        "truncate outbox.log",
        "update outbox.stream set name = 'order-2'",
        "delete from outbox.stream",
        "delete from outbox.category",
        "update outbox.topic set retention = 'stream' where name = 't'; insert into outbox.topic values ('t', 'stream')",
    ] {
        let error = connection.execute(statement).await.expect_err(statement);
        let told = error.to_string();
        assert!(
            told.contains("append-only") || told.contains("topic_is_of_no_stream"),
            "{told}"
        );
    }
    assert_eq!(stored(&mut connection).await?, 1);
    Ok(())
}
