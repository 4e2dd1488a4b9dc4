//! The cursors that people write by hand must fail before the witness: this is what the tail is there for.

use sqlx::{Executor, PgConnection};
use system_tests::journal::{Fact, Journal, Outcome};
use system_tests::naive_tail::{Cursor, NaiveTail};
use system_tests::witness::{Verdict, Witness};
use system_tests::{Result, World, stream};
use uuid::Uuid;

const TOPIC: &str = "orders.placed";

async fn append(connection: &mut PgConnection, journal: &mut Journal, key: &str, number: i64) -> Result {
    let id = Uuid::now_v7();
    sqlx::query("select outbox.append($1, '{}', key => $2, id => $3)")
        .bind(TOPIC)
        .bind(key)
        .bind(id)
        .execute(connection)
        .await?;
    journal.record(
        Fact {
            id,
            topic: TOPIC.to_owned(),
            key: key.to_owned(),
            number,
        },
        Outcome::Committed,
    );
    Ok(())
}

async fn judge(world: &World, journal: &Journal) -> Result<Verdict> {
    let entries = stream::entries(&mut world.redis().await?, &format!("outbox:{TOPIC}")).await?;
    Ok(Witness::new(journal).stream(TOPIC, &entries).verdict())
}

#[tokio::test]
async fn a_cursor_on_position_loses_what_commits_late() -> Result {
    // GIVEN a transaction that drew its position first and is still open
    let world = World::new().await?;
    let (mut early, mut late, mut log) = (
        world.connect().await?,
        world.connect().await?,
        world.connect().await?,
    );
    let (mut journal, mut redis, mut tail) = (
        Journal::default(),
        world.redis().await?,
        NaiveTail::new(Cursor::Position(0)),
    );
    early.execute("begin").await?;
    append(&mut early, &mut journal, "a", 1).await?;
    // WHEN a later one commits and is seen before it
    append(&mut late, &mut journal, "b", 1).await?;
    assert_eq!(tail.run_once(&mut log, &mut redis).await?, 1);
    early.execute("commit").await?;
    assert_eq!(tail.run_once(&mut log, &mut redis).await?, 0);
    // THEN the event of the first is lost, and the witness says so
    let verdict = judge(&world, &journal).await?;
    assert_eq!(
        (verdict.lost.len(), verdict.phantom.len(), verdict.doubled.len()),
        (1, 0, 0),
        "{verdict}"
    );
    assert!(verdict.clean().is_err());
    Ok(())
}

#[tokio::test]
async fn a_cursor_on_transaction_ids_turns_a_key_around() -> Result {
    // GIVEN a transaction that took its id first, as one does that writes its own rows before it appends
    let world = World::new().await?;
    let (mut early, mut late, mut log) = (
        world.connect().await?,
        world.connect().await?,
        world.connect().await?,
    );
    let (mut journal, mut redis, mut tail) = (
        Journal::default(),
        world.redis().await?,
        NaiveTail::new(Cursor::Transaction(0)),
    );
    early.execute("begin; select pg_current_xact_id()").await?;
    // WHEN another one appends to the key and commits, and then the first appends to the same key and commits
    append(&mut late, &mut journal, "a", 1).await?;
    append(&mut early, &mut journal, "a", 2).await?;
    early.execute("commit").await?;
    let mut published = 0;
    while published < 2 {
        // Other tests of the run hold the horizon back for moments.
        published += tail.run_once(&mut log, &mut redis).await?;
    }
    // THEN the two are on the stream in the wrong order, and the witness says so
    let verdict = judge(&world, &journal).await?;
    assert_eq!((verdict.lost.len(), verdict.reordered.len()), (0, 1), "{verdict}");
    assert!(verdict.clean().is_err());
    Ok(())
}
