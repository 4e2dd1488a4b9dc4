//! Calls with too many tags for locks of their own, and transactions that hold too many.

use outbox_core::append::NewEvent;
use outbox_core::event_store::boundary::{
    Condition, Conditional, Matching, TaggedRead, append_if, read_tagged_page,
};
use outbox_core::event_store::{self, Error, Expected, Outcome};
use sqlx::{Connection as _, Executor as _, PgConnection};
use system_tests::{Failure, Result};

use super::locks::{append, decide, moved, somebody_waits, stream, world};

/// As many events, each with a tag of its own.
async fn import(connection: &mut PgConnection, name: &str, events: usize) -> Result {
    let events = (0..events)
        .map(|number| moved(&[&format!("bulk:{number}")]))
        .collect();
    match event_store::append(connection, &stream(name), Expected::Any, events).await? {
        Outcome::Appended { .. } => Ok(()),
        other => Err(Failure::new(format!("{other:?}"))),
    }
}

/// Locks of tags that this session holds.
async fn held(connection: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "select count(distinct (classid, objid)) from pg_locks
         where pid = pg_backend_pid() and locktype = 'advisory' and not (classid = 28533 and objid = 1952608120)",
    )
    .fetch_one(connection)
    .await?)
}

#[tokio::test]
async fn an_append_with_many_tags_takes_one_lock_and_excludes_decisions_alone() -> Result {
    let world = world().await?;
    let (mut first, mut watcher) = (world.connect().await?, world.connect().await?);
    for (events, locks) in [(64, 64), (65, 0)] {
        let mut open = first.begin().await?;
        import(&mut open, "few", events).await?;
        let doorbell_aside = held(&mut open).await?;
        assert_eq!(doorbell_aside, locks, "{events} events");
        open.rollback().await?;
    }

    let mut open = first.begin().await?;
    import(&mut open, "many", 500).await?;
    let mut other = world.connect().await?;
    other.execute("set lock_timeout = '500ms'").await?;
    import(&mut other, "more", 300).await?;
    let _ = append(&mut other, "one", &["bulk:3"]).await?;
    let mut second = world.connect().await?;
    let waiting = tokio::spawn(async move { decide(&mut second, "a", "bulk:7").await });
    somebody_waits(&mut watcher).await?;
    open.commit().await?;
    let outcome = waiting.await??;
    assert!(matches!(outcome, Conditional::Unmet(_)), "{outcome:?}");

    // And the other way about.
    let mut open = first.begin().await?;
    let outcome = decide(&mut open, "b", "course:1").await?;
    assert!(matches!(outcome, Conditional::Appended(_)), "{outcome:?}");
    let mut second = world.connect().await?;
    let waiting = tokio::spawn(async move { import(&mut second, "again", 100).await });
    somebody_waits(&mut watcher).await?;
    open.commit().await?;
    waiting.await??;
    Ok(())
}

#[tokio::test]
async fn a_decision_about_too_many_tags_is_refused() -> Result {
    let world = world().await?;
    let mut connection = world.connect().await?;
    let condition = (0..40).fold(Condition::of(Matching::tag("t")), |condition, number| {
        condition.or(Matching::tag(format!("t:{number}")))
    });
    let cursor = read_tagged_page(&mut connection, &TaggedRead::of(&condition))
        .await?
        .cursor;
    for (tags, is_allowed) in [(23, true), (24, false)] {
        let events: Vec<NewEvent> = (0..tags).map(|number| moved(&[&format!("e:{number}")])).collect();
        let mut transaction = connection.begin().await?;
        let outcome = append_if(
            &mut transaction,
            &condition,
            &cursor,
            &stream("a"),
            Expected::Any,
            events,
        )
        .await;
        match outcome {
            Ok(Conditional::Appended(_)) if is_allowed => {}
            Err(Error::Database { code, message, .. }) if !is_allowed => {
                assert_eq!(code, "22023");
                assert!(message.contains("at most 64 tags together, got 65"), "{message}");
            }
            other => return Err(Failure::new(format!("{tags}: {other:?}"))),
        }
        transaction.rollback().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_transaction_holds_so_many_tags_and_no_more() -> Result {
    let world = world().await?;
    let mut connection = world.connect().await?;
    let mut transaction = connection.begin().await?;
    // The same one again and again is one.
    for turn in 0..600 {
        let _ = append(&mut transaction, &format!("same-{turn}"), &["same"]).await?;
    }
    for turn in 0..511 {
        let _ = append(
            &mut transaction,
            &format!("each-{turn}"),
            &[&format!("each:{turn}")],
        )
        .await?;
    }
    // One lock is the doorbell's.
    assert_eq!(held(&mut transaction).await?, 511);
    let refused = decide(&mut transaction, "a", "another").await;
    let Err(Error::Database { code, message, .. }) = refused else {
        return Err(Failure::new(format!("{refused:?}")));
    };
    assert_eq!(code, "54000");
    assert!(message.contains("at most 512 tags"), "{message}");
    transaction.rollback().await?;

    // Who only appends goes on, behind the one lock.
    let mut transaction = connection.begin().await?;
    for turn in 0..520 {
        let _ = append(
            &mut transaction,
            &format!("each-{turn}"),
            &[&format!("each:{turn}")],
        )
        .await?;
    }
    assert_eq!(held(&mut transaction).await?, 512);
    transaction.commit().await?;
    Ok(())
}
