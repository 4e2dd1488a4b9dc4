//! Which cursor stands for what a decision saw.

use outbox_core::event_store::boundary::{
    Condition, Conditional, Matching, TaggedRead, append_if, read_tagged_page,
};
use outbox_core::event_store::{Cursor, Error, Expected};
use sqlx::{Connection as _, Executor as _, PgConnection};
use system_tests::{Failure, Result, World};

use super::locks::{append, moved, stream, world};

async fn read(connection: &mut PgConnection, condition: &Condition) -> Result<Cursor> {
    let page = read_tagged_page(connection, &TaggedRead::of(condition)).await?;
    assert!(page.is_end);
    Ok(page.cursor)
}

async fn decide(
    connection: &mut PgConnection,
    condition: &Condition,
    cursor: &Cursor,
) -> std::result::Result<Conditional, Error> {
    let events = vec![moved(&["course:1"])];
    append_if(connection, condition, cursor, &stream("c"), Expected::Any, events).await
}

fn is_refused(outcome: std::result::Result<Conditional, Error>, why: &str) -> Result {
    let Err(error @ Error::Cursor { .. }) = outcome else {
        return Err(Failure::new(format!("{outcome:?}")));
    };
    assert!(error.to_string().contains(why), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_read_of_something_else_has_not_seen_what_a_condition_asks_for() -> Result {
    // GIVEN an event of a tag, and a read of another one
    let world = world().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "a", &["course:1"]).await?;
    let (one, two) = (Matching::tag("course:1"), Matching::tag("course:2"));
    let other = read(&mut connection, &Condition::of(two.clone())).await?;
    // WHEN something is decided about the first by it THEN that is refused
    is_refused(
        decide(&mut connection, &Condition::of(one.clone()), &other).await,
        "something else",
    )?;
    // AND the same items in another order are the same read
    let both = read(&mut connection, &Condition::of(one.clone()).or(two.clone())).await?;
    let outcome = decide(&mut connection, &Condition::of(two).or(one), &both).await?;
    assert!(matches!(outcome, Conditional::Appended(_)), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn what_was_read_in_a_transaction_that_was_rolled_back_never_was() -> Result {
    // GIVEN a read of what its own transaction appended, which was undone
    let world = world().await?;
    let mut connection = world.connect().await?;
    let condition = Condition::of(Matching::tag("course:1"));
    let mut undone = connection.begin().await?;
    append(&mut undone, "a", &["course:1"]).await?;
    let cursor = read(&mut undone, &condition).await?;
    undone.rollback().await?;
    // WHEN something is decided by it THEN that is refused
    is_refused(decide(&mut connection, &condition, &cursor).await, "rolled back")?;
    // AND of one that was committed it is not
    let mut done = connection.begin().await?;
    append(&mut done, "a", &["course:1"]).await?;
    let cursor = read(&mut done, &condition).await?;
    done.commit().await?;
    let outcome = decide(&mut connection, &condition, &cursor).await?;
    assert!(matches!(outcome, Conditional::Appended(_)), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn the_same_call_again_is_answered_in_the_next_era_too() -> Result {
    // GIVEN a decision whose answer was lost, before the database was recovered
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let condition = Condition::of(Matching::tag("course:1"));
    let cursor = read(&mut connection, &condition).await?;
    let events = vec![moved(&["course:1"])];
    let call = async |connection: &mut PgConnection| {
        append_if(
            connection,
            &condition,
            &cursor,
            &stream("c"),
            Expected::NoStream,
            events.clone(),
        )
        .await
    };
    let first = call(&mut connection).await?;
    connection
        .execute(
            "insert into outbox.era (era, system_identifier, timeline, position_floor)
             select era + 1, system_identifier, timeline, 0 from outbox.era",
        )
        .await?;
    // WHEN it is made again THEN it is told what it did
    let again = call(&mut connection).await?;
    let (Conditional::Appended(first), Conditional::AlreadyAppended(again)) = (&first, &again) else {
        return Err(Failure::new(format!("{first:?}, {again:?}")));
    };
    assert_eq!(first, again);
    Ok(())
}
