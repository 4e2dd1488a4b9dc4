//! Rows of tags come and go with their event.

use outbox_core::event_store::boundary::{
    Condition, Conditional, Matching, TaggedRead, append_if, read_tagged_page,
};
use outbox_core::event_store::{self, Expected, Outcome, keep};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use system_tests::{Login, Result, World};

use super::locks::{decide, moved, stream};

const REASON: &str = "closed long ago";

async fn rows(connection: &mut PgConnection) -> Result<Vec<(String, i64)>> {
    Ok(
        sqlx::query_as("select tag, count(*) from outbox.event_tag group by tag order by tag")
            .fetch_all(connection)
            .await?,
    )
}

async fn versions(connection: &mut PgConnection, tag: &str) -> Result<Vec<(u64, bool)>> {
    let page = read_tagged_page(connection, &TaggedRead::of(&Condition::of(Matching::tag(tag)))).await?;
    Ok(page
        .events
        .iter()
        .map(|event| (event.version, event.is_archived))
        .collect())
}

#[tokio::test]
async fn what_is_archived_is_found_and_what_is_removed_is_not() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let pool = world.log().pool_of(Login::Maintainer).await?;
    let mut person = pool.acquire().await?;
    let name = stream("kept");
    let events = vec![moved(&["a", "b"]), moved(&[]), moved(&["a"]), moved(&["b", "a"])];
    let outcome = event_store::append(&mut connection, &name, Expected::NoStream, events).await?;
    assert!(matches!(outcome, Outcome::Appended { .. }));
    let all = [("a".to_owned(), 3), ("b".to_owned(), 2)];
    assert_eq!(rows(&mut connection).await?, all);

    let _ = keep::archive_stream(&mut person, &name, Some(3), REASON, 2).await?;
    let _ = keep::archive_stream(&mut person, &name, Some(3), REASON, 2).await?;
    assert_eq!(rows(&mut connection).await?, all);
    assert_eq!(
        versions(&mut connection, "a").await?,
        [(1, true), (3, true), (4, false)]
    );
    let _ = keep::restore_stream(&mut person, &name, REASON, 2).await?;
    assert_eq!(rows(&mut connection).await?, all);
    assert_eq!(
        versions(&mut connection, "a").await?,
        [(1, true), (3, false), (4, false)]
    );
    // One that is in the archive, and one that is not.
    let _ = keep::truncate_stream(&mut person, &name, 4, REASON, 100).await?;
    assert_eq!(
        rows(&mut connection).await?,
        [("a".to_owned(), 1), ("b".to_owned(), 1)]
    );
    assert_eq!(versions(&mut connection, "b").await?, [(4, false)]);
    let _ = keep::tombstone_stream(&mut person, &name, REASON, 100).await?;
    assert_eq!(rows(&mut connection).await?, []);
    assert_eq!(versions(&mut connection, "a").await?, []);
    Ok(())
}

/// Archived within the transaction that appended: the rows are there already when the event comes back.
#[tokio::test]
async fn an_event_may_move_in_the_transaction_that_appends_it() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let mut transaction = connection.begin().await?;
    let outcome =
        event_store::append(&mut transaction, &stream("m"), Expected::Any, vec![moved(&["a"])]).await?;
    assert!(matches!(outcome, Outcome::Appended { .. }));
    let _ = keep::archive_stream(&mut transaction, &stream("m"), None, REASON, 10).await?;
    let _ = keep::restore_stream(&mut transaction, &stream("m"), REASON, 10).await?;
    transaction.commit().await?;
    assert_eq!(rows(&mut connection).await?, [("a".to_owned(), 1)]);
    Ok(())
}

#[tokio::test]
async fn rows_of_tags_change_and_go_in_no_other_way() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let outcome = decide(&mut connection, "a", "course:1").await?;
    assert!(matches!(outcome, Conditional::Appended(_)));
    for statement in [
        "delete from outbox.event_tag",
        "update outbox.event_tag set tag = 'other'",
        "update outbox.event_tag set transaction_id = '3'",
        "truncate outbox.event_tag",
    ] {
        let refused = connection.execute(AssertSqlSafe(statement)).await;
        let code = refused
            .expect_err(statement)
            .as_database_error()
            .and_then(|error| error.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}");
    }
    assert_eq!(rows(&mut connection).await?, [("course:1".to_owned(), 1)]);
    Ok(())
}

/// An append is told apart by the ids of its events, before the condition is looked at: its own events broke it.
#[tokio::test]
async fn the_same_call_again_is_answered_with_what_it_did() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let condition = Condition::of(Matching::tag("course:1"));
    let page = read_tagged_page(&mut connection, &TaggedRead::of(&condition)).await?;
    let events = vec![moved(&["course:1"]), moved(&["course:1", "student:1"])];
    let mut answers = Vec::new();
    for _ in 0..2 {
        let outcome = append_if(
            &mut connection,
            &condition,
            &page.cursor,
            &stream("twice"),
            Expected::NoStream,
            events.clone(),
        )
        .await?;
        answers.push(outcome);
    }
    let (Conditional::Appended(first), Conditional::AlreadyAppended(again)) = (&answers[0], &answers[1])
    else {
        panic!("{answers:?}")
    };
    assert_eq!(first, again);
    assert_eq!(versions(&mut connection, "course:1").await?.len(), 2);
    Ok(())
}
