//! A transaction that reads what it appended itself.

use outbox_core::event_store::{Error, EventRead, newest_cursor};
use sqlx::{Connection as _, Executor as _};
use system_tests::{Result, World};

use super::{append, names, read};

#[tokio::test]
async fn what_a_transaction_appended_before_it_read_is_read_and_what_it_appends_later_comes() -> Result {
    // A later transaction ends before the read, so that the own one is below the end of its snapshot; or none does.
    for is_below in [false, true] {
        let world = World::new().await?;
        let (mut one, mut other) = (world.connect().await?, world.connect().await?);
        append(&mut other, "order-1", &["placed"]).await?;
        let mut transaction = one.begin().await?;
        append(&mut transaction, "order-2", &["placed"]).await?;
        if is_below {
            append(&mut other, "order-3", &["placed"]).await?;
        }
        // WHEN it reads THEN its own event is there, and not again
        let (all, end) = read(&mut transaction, EventRead::all()).await?;
        assert!(names(&all).contains(&"order-2@1".to_owned()), "{:?}", names(&all));
        let (none, end) = read(&mut transaction, EventRead::all().behind(end)).await?;
        assert!(none.is_empty(), "{:?}", names(&none));
        let seen = end.snapshot()?;
        let (own, through) = seen.own.expect("it has an id");
        assert!(!seen.snapshot.sees(own), "{end}");
        assert_eq!(all.iter().map(|event| event.position).max(), Some(through));
        // WHEN it appends more, reads that, and appends again THEN that comes after its commit, alone
        append(&mut transaction, "order-2", &["paid"]).await?;
        let (more, end) = read(&mut transaction, EventRead::of_category("order").behind(end)).await?;
        assert_eq!(names(&more), ["order-2@2"]);
        append(&mut transaction, "order-2", &["sent"]).await?;
        transaction.commit().await?;
        let (rest, end) = read(&mut one, EventRead::of_category("order").behind(end)).await?;
        assert_eq!(names(&rest), ["order-2@3"], "{is_below}");
        assert_eq!(end.snapshot()?.own, None);
    }
    Ok(())
}

#[tokio::test]
async fn what_was_rolled_back_to_a_savepoint_is_no_trouble() -> Result {
    let world = World::new().await?;
    let mut one = world.connect().await?;
    let mut transaction = one.begin().await?;
    append(&mut transaction, "order-1", &["placed"]).await?;
    transaction.execute("savepoint attempt").await?;
    append(&mut transaction, "order-1", &["paid"]).await?;
    let (all, end) = read(&mut transaction, EventRead::all()).await?;
    assert_eq!(names(&all), ["order-1@1", "order-1@2"]);
    transaction.execute("rollback to savepoint attempt").await?;
    append(&mut transaction, "order-1", &["refused"]).await?;
    transaction.commit().await?;
    let (rest, _) = read(&mut one, EventRead::all().behind(end)).await?;
    assert_eq!(names(&rest), ["order-1@2"]);
    assert_eq!(rest[0].event.r#type, "refused");
    Ok(())
}

#[tokio::test]
async fn a_cursor_of_a_transaction_that_has_not_ended_is_of_no_use_elsewhere() -> Result {
    let world = World::new().await?;
    let (mut one, mut other) = (world.connect().await?, world.connect().await?);
    let mut transaction = one.begin().await?;
    append(&mut transaction, "order-1", &["placed"]).await?;
    let (_, end) = read(&mut transaction, EventRead::all()).await?;
    // Its own event would count as read, and might never be.
    let early = read(&mut other, EventRead::all().behind(end.clone()))
        .await
        .expect_err("refused");
    assert!(early.to_string().contains("has not ended"), "{early}");
    transaction.commit().await?;
    append(&mut other, "order-2", &["placed"]).await?;
    let (rest, _) = read(&mut other, EventRead::all().behind(end)).await?;
    assert_eq!(names(&rest), ["order-2@1"]);
    Ok(())
}

#[tokio::test]
async fn the_newest_cursor_is_behind_what_can_be_seen_and_before_what_cannot() -> Result {
    let world = World::new().await?;
    let (mut one, mut early, mut other) = (
        world.connect().await?,
        world.connect().await?,
        world.connect().await?,
    );
    append(&mut one, "order-2", &["placed"]).await?;
    let mut held = early.begin().await?;
    append(&mut held, "order-1", &["placed"]).await?;
    append(&mut one, "order-2", &["paid"]).await?;
    let mut transaction = other.begin().await?;
    append(&mut transaction, "order-3", &["placed"]).await?;
    let (outside, inside) = (
        newest_cursor(&mut one).await?,
        newest_cursor(&mut transaction).await?,
    );
    held.commit().await?;
    append(&mut transaction, "order-3", &["paid"]).await?;
    transaction.commit().await?;
    let (seen, _) = read(&mut one, EventRead::all().behind(outside)).await?;
    assert_eq!(names(&seen), ["order-1@1", "order-3@1", "order-3@2"]);
    let (seen, _) = read(&mut one, EventRead::all().behind(inside)).await?;
    assert_eq!(names(&seen), ["order-1@1", "order-3@2"]);
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_began_to_see_before_the_cursor_was_taken_is_refused() -> Result {
    // GIVEN a transaction under one snapshot, and a cursor of somebody else who saw more
    let world = World::new().await?;
    let (mut one, mut other) = (world.connect().await?, world.connect().await?);
    append(&mut other, "order-1", &["placed"]).await?;
    let mut transaction = one.begin_with("begin isolation level repeatable read").await?;
    let (all, own) = read(&mut transaction, EventRead::all()).await?;
    append(&mut other, "order-2", &["placed"]).await?;
    let (_, newer) = read(&mut other, EventRead::all()).await?;
    // WHEN it goes on from its own THEN there is nothing new; and from the other one what it does not see would be passed over
    assert_eq!(names(&all), ["order-1@1"]);
    assert!(
        read(&mut transaction, EventRead::all().behind(own))
            .await?
            .0
            .is_empty()
    );
    let refused =
        outbox_core::event_store::read_events_page(&mut transaction, &EventRead::all().behind(newer))
            .await
            .expect_err("refused");
    assert!(
        matches!(&refused, Error::Cursor { said } if said.contains("began to see before")),
        "{refused}"
    );
    Ok(())
}
