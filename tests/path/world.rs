//! The harness itself: worlds are apart from each other and leave nothing behind.

use std::collections::HashSet;
use std::time::Duration;

use system_tests::journal::Outcome;
use system_tests::{Result, Schema, Workload, World};
use uuid::Uuid;

#[tokio::test]
async fn two_worlds_see_nothing_of_each_other() -> Result {
    // GIVEN two worlds
    let (one, two) = (World::new().await?, World::new().await?);
    // WHEN something is written in the first
    sqlx::query("select outbox.append('orders.placed', '{}')")
        .execute(&mut one.connect().await?)
        .await?;
    redis::cmd("SET")
        .arg("key")
        .arg("value")
        .query_async::<()>(&mut one.redis().await?)
        .await?;
    // THEN the second has none of it
    let events: i64 = sqlx::query_scalar("select count(*) from outbox.log")
        .fetch_one(&mut two.connect().await?)
        .await?;
    let keys: i64 = redis::cmd("DBSIZE").query_async(&mut two.redis().await?).await?;
    assert_eq!((events, keys), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_dropped_world_leaves_no_database() -> Result {
    // GIVEN a world with one more database
    let witness = World::new().await?;
    let world = World::new().await?;
    let another = world.another_database(Schema::Inbox).await?;
    let names = vec![world.log().name().to_owned(), another.name().to_owned()];
    // WHEN both are dropped
    drop(another);
    drop(world);
    // THEN the server has neither
    let left: Vec<String> =
        sqlx::query_scalar("select datname::text from pg_database where datname = any($1)")
            .bind(&names)
            .fetch_all(&mut witness.connect().await?)
            .await?;
    assert_eq!(left, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn the_producers_journal_says_what_is_in_the_log() -> Result {
    // GIVEN writers that roll back, use savepoints and hold commits open
    let world = World::new().await?;
    let mut producers = Workload::default().start(world.log()).await?;
    // WHEN they committed a while and stopped
    producers.commit_more(300, Duration::from_secs(120)).await?;
    let journal = producers.stop().await?;
    // THEN the log has exactly what they say was committed, and some of everything happened
    let in_the_log: Vec<Uuid> = sqlx::query_scalar("select id from outbox.log")
        .fetch_all(&mut world.connect().await?)
        .await?;
    let committed: HashSet<Uuid> = journal.committed().map(|fact| fact.id).collect();
    assert_eq!(journal.errors, Vec::<String>::new());
    assert_eq!(committed, in_the_log.into_iter().collect());
    assert!(journal.count(Outcome::RolledBack) > 0);
    Ok(())
}
