//! What is refused, and says why; and that a broken condition changes nothing.

use outbox_core::event_store::boundary::{
    Condition, Conditional, Matching, TaggedRead, append_if, append_streams_if, read_tagged_page,
};
use outbox_core::event_store::{self, Error, Expected, PageLimits, StreamAppend, newest_cursor};
use outbox_core::verdict::Verdict;
use sqlx::{Connection as _, Executor as _, PgConnection};
use system_tests::{Failure, Result, World};

use super::locks::{append, decide, moved, stream};

const ONE: PageLimits = PageLimits {
    events_max: 1,
    bytes_max: 1 << 20,
};

async fn counts(connection: &mut PgConnection) -> Result<(i64, i64)> {
    Ok(
        sqlx::query_as("select (select count(*) from outbox.log), (select count(*) from outbox.event_tag)")
            .fetch_one(connection)
            .await?,
    )
}

#[tokio::test]
async fn a_broken_condition_or_another_version_changes_nothing() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let condition = Condition::of(Matching::tag("course:1"));
    let cursor = newest_cursor(&mut connection).await?;
    let position = append(&mut connection, "a", &["course:1"]).await?;
    let before = counts(&mut connection).await?;
    let call = |expected| {
        ["a", "b"]
            .map(|name| StreamAppend {
                stream: stream(name),
                expected,
                events: vec![moved(&["course:1"])],
            })
            .to_vec()
    };
    let mut transaction = connection.begin().await?;
    let unmet = append_streams_if(&mut transaction, &condition, &cursor, call(Expected::Any)).await?;
    let Conditional::Unmet(unseen) = unmet else {
        return Err(Failure::new(format!("{unmet:?}")));
    };
    assert_eq!(unseen.position, position);
    assert_eq!(
        unseen.to_string(),
        format!("the read did not see course.moved at position {position}")
    );
    // The transaction goes on, with a cursor that has seen it: another version is a conflict, too.
    let cursor = newest_cursor(&mut transaction).await?;
    let conflict = append_streams_if(&mut transaction, &condition, &cursor, call(Expected::NoStream)).await?;
    let Conditional::Conflict(conflicts) = conflict else {
        return Err(Failure::new(format!("{conflict:?}")));
    };
    assert_eq!((conflicts.len(), conflicts[0].actual), (1, 1));
    assert_eq!(counts(&mut transaction).await?, before);
    let appended = append_streams_if(&mut transaction, &condition, &cursor, call(Expected::Any)).await?;
    assert!(
        matches!(&appended, Conditional::Appended(streams) if streams.len() == 2),
        "{appended:?}"
    );
    transaction.commit().await?;
    assert_eq!(counts(&mut connection).await?, (before.0 + 2, before.1 + 2));
    Ok(())
}

#[tokio::test]
async fn conditions_that_cannot_be_kept_are_refused_before_anything_is_sent() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let cursor = newest_cursor(&mut connection).await?;
    for condition in [
        Condition::of(Matching::tag("")),
        Condition::of(Matching::tag("a").types(["x".repeat(201)])),
    ] {
        let refused = append_if(
            &mut connection,
            &condition,
            &cursor,
            &stream("a"),
            Expected::Any,
            vec![moved(&[])],
        )
        .await;
        assert!(matches!(&refused, Err(Error::Refused { .. })), "{refused:?}");
    }
    assert_eq!(counts(&mut connection).await?, (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_cursor_that_does_not_stand_for_what_was_read_is_refused() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let condition = Condition::of(Matching::tag("course:1"));
    let other = Condition::of(Matching::tag("course:2"));
    for name in ["a", "b"] {
        let _ = append(&mut connection, name, &["course:1"]).await?;
    }
    let first = read_tagged_page(&mut connection, &TaggedRead::of(&condition).limits(ONE)).await?;
    assert_eq!((first.events.len(), first.is_end), (1, false));
    let within = append_if(
        &mut connection,
        &condition,
        &first.cursor,
        &stream("c"),
        Expected::Any,
        vec![moved(&["course:1"])],
    )
    .await;
    let Err(error @ Error::Cursor { .. }) = within else {
        return Err(Failure::new(format!("{within:?}")));
    };
    assert!(error.to_string().contains("not come to its end"), "{error}");
    assert_eq!(error.verdict(), Verdict::Park);
    let elsewhere = read_tagged_page(
        &mut connection,
        &TaggedRead::of(&other).behind(first.cursor.clone()),
    )
    .await;
    assert!(matches!(&elsewhere, Err(Error::Cursor { .. })), "{elsewhere:?}");
    let rest = read_tagged_page(
        &mut connection,
        &TaggedRead::of(&condition).behind(first.cursor).limits(ONE),
    )
    .await?;
    assert_eq!((rest.events.len(), rest.is_end), (1, true));

    // A database that went back in time has another era: what the cursor saw is not what is there.
    connection
        .execute(
            "insert into outbox.era (era, system_identifier, timeline, position_floor)
             select era + 1, system_identifier, timeline, 0 from outbox.era",
        )
        .await?;
    let outdated = append_if(
        &mut connection,
        &condition,
        &rest.cursor,
        &stream("c"),
        Expected::Any,
        vec![moved(&["course:1"])],
    )
    .await;
    let Err(error @ Error::Cursor { .. }) = outdated else {
        return Err(Failure::new(format!("{outdated:?}")));
    };
    assert!(error.to_string().contains("era 1"), "{error}");
    assert_eq!(
        event_store::stream_version(&mut connection, &stream("c")).await?,
        0
    );
    Ok(())
}

/// What was appended before an era began was seen by every cursor of it, whatever its transaction ids are.
#[tokio::test]
async fn what_is_from_before_the_era_breaks_nothing_and_is_read() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let position = append(&mut connection, "a", &["course:1"]).await?;
    // As after a dump was loaded: ids of a server that was far ahead.
    connection
        .execute(
            "set session_replication_role = replica;
             update outbox.log set transaction_id = '999999999';
             update outbox.event_tag set transaction_id = '999999999';
             set session_replication_role = origin;",
        )
        .await?;
    sqlx::query(
        "insert into outbox.era (era, system_identifier, timeline, position_floor)
         select era + 1, system_identifier, timeline, $1 from outbox.era",
    )
    .bind(position)
    .execute(&mut connection)
    .await?;
    let page = read_tagged_page(
        &mut connection,
        &TaggedRead::of(&Condition::of(Matching::tag("course:1"))),
    )
    .await?;
    assert_eq!(page.events.len(), 1);
    let outcome = decide(&mut connection, "b", "course:1").await?;
    assert!(matches!(outcome, Conditional::Appended(_)), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn a_decision_is_appended_in_read_committed_transactions_only() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    for level in ["repeatable read", "serializable"] {
        let cursor = newest_cursor(&mut connection).await?;
        let mut transaction = connection.begin().await?;
        transaction
            .execute(sqlx::AssertSqlSafe(format!(
                "set transaction isolation level {level}"
            )))
            .await?;
        let refused = append_if(
            &mut transaction,
            &Condition::of(Matching::tag("course:1")),
            &cursor,
            &stream("a"),
            Expected::Any,
            vec![moved(&["course:1"])],
        )
        .await;
        assert!(
            matches!(&refused, Err(Error::Database { code, .. }) if code == "0A000"),
            "{refused:?}"
        );
    }
    Ok(())
}
