//! What a read saw: not what lies below a position, and of its own transaction what was there.

use outbox_core::append::NewEvent;
use outbox_core::event_store::boundary::{
    Condition, Conditional, Matching, TaggedRead, append_if, read_tagged_page,
};
use outbox_core::event_store::{self, Cursor, Expected, Outcome, StoredEvent, StreamName};
use sqlx::{Connection as _, PgConnection};
use system_tests::{Failure, Result};

use super::locks::{append, moved, stream, world};

async fn read(connection: &mut PgConnection, condition: &Condition) -> Result<(Vec<StoredEvent>, Cursor)> {
    let page = read_tagged_page(connection, &TaggedRead::of(condition)).await?;
    assert!(page.is_end);
    Ok((page.events, page.cursor))
}

/// A cursor that is a position would say: seen.
#[tokio::test]
async fn an_event_that_commits_late_below_what_was_read_breaks_the_condition() -> Result {
    let world = world().await?;
    let (mut early, mut other, mut reader) = (
        world.connect().await?,
        world.connect().await?,
        world.connect().await?,
    );
    let condition = Condition::of(Matching::tag("course:1")).or(Matching::tag("course:2"));
    let mut late = early.begin().await?;
    let below = append(&mut late, "a", &["course:1"]).await?;
    let above = append(&mut other, "b", &["course:2"]).await?;
    assert!(below < above);
    let (seen, cursor) = read(&mut reader, &condition).await?;
    assert_eq!(
        seen.iter().map(|event| event.position).collect::<Vec<_>>(),
        [above],
        "the lower one is not there yet"
    );
    late.commit().await?;

    let decided = append_if(
        &mut reader,
        &condition,
        &cursor,
        &stream("c"),
        Expected::Any,
        vec![moved(&["course:1"])],
    )
    .await?;
    let Conditional::Unmet(unseen) = decided else {
        return Err(Failure::new(format!("{decided:?}")));
    };
    assert_eq!(
        (unseen.position, unseen.event_type.as_str()),
        (below, "course.moved")
    );
    assert_eq!(
        event_store::stream_version(&mut reader, &stream("c")).await?,
        0,
        "nothing was appended"
    );
    // What came since is read from the cursor on: that one event.
    let page = read_tagged_page(&mut reader, &TaggedRead::of(&condition).behind(cursor)).await?;
    assert_eq!(
        page.events.iter().map(|event| event.position).collect::<Vec<_>>(),
        [below]
    );
    let outcome = append_if(
        &mut reader,
        &condition,
        &page.cursor,
        &stream("c"),
        Expected::NoStream,
        vec![moved(&["course:1"])],
    )
    .await?;
    assert!(matches!(outcome, Conditional::Appended(_)), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn what_rolls_back_breaks_nothing() -> Result {
    let world = world().await?;
    let (mut early, mut reader) = (world.connect().await?, world.connect().await?);
    let condition = Condition::of(Matching::tag("course:1"));
    let mut open = early.begin().await?;
    let _ = append(&mut open, "a", &["course:1"]).await?;
    let (seen, cursor) = read(&mut reader, &condition).await?;
    assert!(seen.is_empty());
    open.rollback().await?;
    let outcome = append_if(
        &mut reader,
        &condition,
        &cursor,
        &stream("c"),
        Expected::Any,
        vec![moved(&["course:1"])],
    )
    .await?;
    assert!(matches!(outcome, Conditional::Appended(_)), "{outcome:?}");
    Ok(())
}

/// With the id of the transaction below the xmax of its snapshots, and above it.
#[tokio::test]
async fn what_a_transaction_appended_itself_is_seen_if_it_was_read() -> Result {
    let world = world().await?;
    let (mut writer, mut stranger) = (world.connect().await?, world.connect().await?);
    for (round, is_overtaken) in [("1", false), ("2", true)] {
        let tag = format!("course:{round}");
        let condition = Condition::of(Matching::tag(&tag));
        let stream = |name: &str| StreamName::new("mine", format!("{name}-{round}")).expect("a name");
        let mut transaction = writer.begin().await?;
        let first = event_store::append(
            &mut transaction,
            &stream("a"),
            Expected::Any,
            vec![moved(&[&tag])],
        )
        .await?;
        assert!(matches!(first, Outcome::Appended { .. }));
        if is_overtaken {
            // Its id is below the xmax of what is read from here on.
            let _ = append(&mut stranger, "x", &["other"]).await?;
        }
        let (seen, cursor) = read(&mut transaction, &condition).await?;
        assert_eq!(seen.len(), 1, "its own");
        for (name, is_met) in [("b", true), ("c", false)] {
            let outcome = append_if(
                &mut transaction,
                &condition,
                &cursor,
                &stream(name),
                Expected::NoStream,
                vec![moved(&[&tag])],
            )
            .await?;
            assert_eq!(
                matches!(outcome, Conditional::Appended(_)),
                is_met,
                "what it appended since, it did not read: {outcome:?}"
            );
        }
        // And from another session, when it has committed.
        transaction.commit().await?;
        let outcome = append_if(
            &mut stranger,
            &condition,
            &cursor,
            &stream("d"),
            Expected::Any,
            vec![NewEvent::stored("course.moved")],
        )
        .await?;
        assert!(matches!(outcome, Conditional::Unmet(_)), "{outcome:?}");
        let (seen, cursor) = read(&mut stranger, &condition).await?;
        assert_eq!(seen.len(), 2);
        let outcome = append_if(
            &mut stranger,
            &condition,
            &cursor,
            &stream("d"),
            Expected::Any,
            vec![NewEvent::stored("course.moved")],
        )
        .await?;
        assert!(matches!(outcome, Conditional::Appended(_)), "{outcome:?}");
    }
    Ok(())
}
