//! Who waits for whom.

use std::time::Duration;

use outbox_core::append::NewEvent;
use outbox_core::event_store::boundary::{
    Condition, Conditional, Matching, TaggedRead, append_if, read_tagged_page,
};
use outbox_core::event_store::{self, Error, Expected, Outcome, StreamName};
use sqlx::{Connection as _, Executor as _, PgConnection};
use system_tests::{Failure, Result, World, patience};

const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn stream(name: &str) -> StreamName {
    StreamName::new("any", name).expect("a good name")
}

pub(crate) fn moved(tags: &[&str]) -> NewEvent {
    tags.iter()
        .fold(NewEvent::stored("course.moved"), |event, tag| event.tag(*tag))
}

/// Appends one event with tags, without a condition. Its position.
pub(crate) async fn append(connection: &mut PgConnection, name: &str, tags: &[&str]) -> Result<i64> {
    match event_store::append(connection, &stream(name), Expected::Any, vec![moved(tags)]).await? {
        Outcome::Appended { positions, .. } => Ok(positions[0]),
        other => Err(Failure::new(format!("{other:?}"))),
    }
}

/// Reads what has a tag, and appends an event with it under the condition that this was all.
pub(crate) async fn decide(
    connection: &mut PgConnection,
    name: &str,
    tag: &str,
) -> std::result::Result<Conditional, Error> {
    let condition = Condition::of(Matching::tag(tag));
    let page = read_tagged_page(connection, &TaggedRead::of(&condition)).await?;
    append_if(
        connection,
        &condition,
        &page.cursor,
        &stream(name),
        Expected::Any,
        vec![moved(&[tag])],
    )
    .await
}

/// A database in which the category of these streams is known: who makes a category is waited for by others that make the same.
pub(crate) async fn world() -> Result<World> {
    let world = World::new().await?;
    let _ = append(&mut world.connect().await?, "first", &[]).await?;
    Ok(world)
}

/// Until a session waits for a lock of tags: of one, or of all at once.
pub(crate) async fn somebody_waits(connection: &mut PgConnection) -> Result {
    patience::until("a session waits for a tag", LIMIT, async || {
        let waits: bool = sqlx::query_scalar(
            "select exists (select from pg_locks l join pg_database d on d.oid = l.database and d.datname = current_database()
             where not l.granted and (l.locktype = 'advisory' or l.relation = to_regclass('outbox.tag_gate')))",
        )
        .fetch_one(&mut *connection)
        .await?;
        Ok(waits.then_some(()))
    })
    .await
}

/// A wait would end as an error, soon.
async fn impatient(world: &World) -> Result<PgConnection> {
    let mut connection = world.connect().await?;
    connection.execute("set lock_timeout = '500ms'").await?;
    Ok(connection)
}

#[tokio::test]
async fn decisions_about_one_tag_wait_for_each_other_and_those_about_others_do_not() -> Result {
    let world = world().await?;
    let (mut first, mut second, mut watcher) = (
        world.connect().await?,
        world.connect().await?,
        world.connect().await?,
    );
    let mut open = first.begin().await?;
    let outcome = decide(&mut open, "a", "course:1").await?;
    assert!(matches!(outcome, Conditional::Appended(_)), "{outcome:?}");

    let mut other = impatient(&world).await?;
    let outcome = decide(&mut other, "b", "course:2").await?;
    assert!(matches!(outcome, Conditional::Appended(_)), "{outcome:?}");
    let _ = append(&mut other, "c", &["course:2", "student:1"]).await?;
    let _ = append(&mut other, "d", &[]).await?;

    let same = tokio::spawn(async move { decide(&mut second, "e", "course:1").await });
    somebody_waits(&mut watcher).await?;
    assert!(!same.is_finished());
    open.commit().await?;
    let outcome = same.await??;
    assert!(
        matches!(outcome, Conditional::Unmet(_)),
        "it read before the other one committed: {outcome:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_plain_append_with_the_tag_waits_for_a_decision_and_is_waited_for() -> Result {
    let world = world().await?;
    let (mut first, mut watcher) = (world.connect().await?, world.connect().await?);
    for (round, is_decision_first) in [("1", true), ("2", false)] {
        let tag = format!("course:{round}");
        let mut second = world.connect().await?;
        let mut open = first.begin().await?;
        if is_decision_first {
            let outcome = decide(&mut open, "a", &tag).await?;
            assert!(matches!(outcome, Conditional::Appended(_)), "{outcome:?}");
            let waiting = tokio::spawn(async move { append(&mut second, "b", &[&tag, "student:1"]).await });
            somebody_waits(&mut watcher).await?;
            open.commit().await?;
            let _ = waiting.await??;
        } else {
            let position = append(&mut open, "c", &["student:1", &tag]).await?;
            // Another plain append waits for nobody.
            let _ = append(&mut impatient(&world).await?, "d", &[&tag]).await?;
            let waiting = tokio::spawn(async move { decide(&mut second, "e", &tag).await });
            somebody_waits(&mut watcher).await?;
            open.commit().await?;
            match waiting.await?? {
                Conditional::Unmet(unseen) => assert_eq!(unseen.position, position),
                other => return Err(Failure::new(format!("{other:?}"))),
            }
        }
    }
    Ok(())
}

/// Items and events name the same tags in opposite order: nobody waits in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_of_a_call_are_locked_in_one_order() -> Result {
    let world = world().await?;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..8_u32 {
        let mut connection = world.connect().await?;
        calls.spawn(async move {
            for turn in 0..25 {
                let mut tags = ["a", "b", "c", "d"];
                if number % 2 == 1 {
                    tags.reverse();
                }
                let condition = Condition::of(Matching::tag(tags[0]))
                    .or(Matching::tag(tags[1]).and_tag(tags[2]))
                    .or(Matching::tag(tags[2]));
                let page = read_tagged_page(&mut connection, &TaggedRead::of(&condition)).await?;
                let outcome = append_if(
                    &mut connection,
                    &condition,
                    &page.cursor,
                    &stream(&format!("{number}-{turn}")),
                    Expected::Any,
                    vec![moved(&tags[1..3]), moved(&tags[2..])],
                )
                .await?;
                assert!(
                    matches!(outcome, Conditional::Appended(_) | Conditional::Unmet(_)),
                    "{outcome:?}"
                );
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = calls.join_next().await {
        done??;
    }
    Ok(())
}
