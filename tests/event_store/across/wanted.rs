//! What is read: categories, types, until a time, from a position, backward, and what was archived.

use outbox_core::event_store::{EventRead, keep};
use sqlx::Executor as _;
use system_tests::{Result, World};

use super::{append, few, names, read};

#[tokio::test]
async fn categories_and_types_are_told_apart() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "order-1", &["placed", "paid"]).await?;
    append(&mut connection, "cart-1", &["paid"]).await?;
    append(&mut connection, "refund-1", &["paid"]).await?;
    append(&mut connection, "order-2", &["placed"]).await?;
    for (wanted, found) in [
        (
            EventRead::of_category("order"),
            vec!["order-1@1", "order-1@2", "order-2@1"],
        ),
        (EventRead::of_category("ord"), vec![]),
        (
            EventRead::all().categories(["order", "refund"]),
            vec!["order-1@1", "order-1@2", "refund-1@1", "order-2@1"],
        ),
        (
            EventRead::all().types(["paid"]),
            vec!["order-1@2", "cart-1@1", "refund-1@1"],
        ),
        (
            EventRead::all()
                .categories(["order", "cart"])
                .types(["paid", "sent"]),
            vec!["order-1@2", "cart-1@1"],
        ),
        (
            EventRead::all().above_position(3),
            vec!["refund-1@1", "order-2@1"],
        ),
        (
            EventRead::of_category("order").backward(),
            vec!["order-2@1", "order-1@2", "order-1@1"],
        ),
        (
            EventRead::all().categories(["order", "refund"]).backward(),
            vec!["order-2@1", "refund-1@1", "order-1@2", "order-1@1"],
        ),
        (
            EventRead::all().types(["paid"]).backward(),
            vec!["refund-1@1", "cart-1@1", "order-1@2"],
        ),
    ] {
        for size in [1, 2, 100] {
            let (events, _) = read(&mut connection, wanted.clone().limits(few(size))).await?;
            assert_eq!(names(&events), found, "{wanted:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_category_that_comes_into_being_later_is_in_the_next_read() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    let wanted = EventRead::all().categories(["order", "cart"]);
    append(&mut connection, "order-1", &["placed"]).await?;
    let (_, end) = read(&mut connection, wanted.clone()).await?;
    append(&mut connection, "cart-1", &["filled"]).await?;
    let (found, _) = read(&mut connection, wanted.behind(end)).await?;
    assert_eq!(names(&found), ["cart-1@1"]);
    Ok(())
}

#[tokio::test]
async fn until_a_time_is_what_was_recorded_by_then() -> Result {
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "order-1", &["placed", "paid"]).await?;
    let then: time::OffsetDateTime = sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(&mut connection)
        .await?;
    append(&mut connection, "order-1", &["sent"]).await?;
    append(&mut connection, "order-2", &["placed"]).await?;
    for wanted in [
        EventRead::all().until(then),
        EventRead::of_category("order").until(then).backward(),
    ] {
        for size in [1, 100] {
            let (mut found, end) = read(&mut connection, wanted.clone().limits(few(size))).await?;
            found.sort_by_key(|event| event.position);
            assert_eq!(names(&found), ["order-1@1", "order-1@2"]);
            // From there on nothing more is of that time; and another time is another read.
            assert!(
                read(&mut connection, wanted.clone().behind(end.clone()))
                    .await?
                    .0
                    .is_empty()
            );
            let other = EventRead::of_category("order").behind(end);
            assert!(read(&mut connection, other).await.is_err());
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_was_archived_is_found_and_an_archived_event_does_not_come_again() -> Result {
    // GIVEN a read in its middle, and one at its end
    let world = World::new().await?;
    let mut connection = world.connect().await?;
    append(&mut connection, "order-1", &["placed", "paid", "sent"]).await?;
    append(&mut connection, "order-2", &["placed", "paid"]).await?;
    let (before, end) = read(&mut connection, EventRead::all()).await?;
    let within =
        outbox_core::event_store::read_events_page(&mut connection, &EventRead::all().limits(few(2))).await?;
    // WHEN a stream goes into the archive, before and behind where the read is
    connection.execute("set role outbox_maintainer").await?;
    let moved = keep::archive_stream(&mut connection, &"order-1".parse()?, None, "closed", 100).await?;
    assert!(moved.is_finished);
    connection.execute("reset role").await?;
    // THEN all of it is read as before, marked, and nothing comes again
    let (after, _) = read(&mut connection, EventRead::all()).await?;
    assert_eq!(names(&after), names(&before));
    assert_eq!(after.iter().filter(|event| event.is_archived).count(), 3);
    let (rest, _) = read(&mut connection, EventRead::all().behind(within.cursor)).await?;
    assert_eq!(names(&rest), names(&before[2..]));
    assert!(
        read(&mut connection, EventRead::all().behind(end))
            .await?
            .0
            .is_empty()
    );
    for wanted in [
        EventRead::of_category("order"),
        EventRead::of_category("order").backward(),
    ] {
        let (mut found, _) = read(&mut connection, wanted.limits(few(2))).await?;
        found.sort_by_key(|event| event.position);
        assert_eq!(names(&found), names(&before));
    }
    Ok(())
}
