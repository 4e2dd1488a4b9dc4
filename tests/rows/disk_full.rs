//! Disks that are full: of Postgres, of Redis (row 45 of docs/faults.md).

use system_tests::arrival::{arrived, backlog, entries_of, judge};
use system_tests::patience::until;
use system_tests::{Relay, Result, Workload, World};
use xtask::servers::{Postgres, Redis};

use crate::scene::{LIMIT, Scene, moderate, patient};

/// A fresh cluster with a few segments of the write-ahead log, and some room.
const POSTGRES_BYTES: u64 = 192 << 20;
const REDIS_BYTES: u64 = 16 << 20;

#[tokio::test]
async fn a_postgres_without_room_refuses_producers_and_all_goes_on_when_there_is_some() -> Result {
    // GIVEN two relays under load, and a Postgres on a small disk
    let postgres = Postgres::options()
        .disk(POSTGRES_BYTES)
        .set("max_wal_size", "64MB")
        .set("min_wal_size", "32MB");
    let world = World::with_own_servers(postgres, Redis::options()).await?;
    let workload = Workload {
        // A server that panics for want of room takes its time to come back.
        reconnect_within: LIMIT * 2,
        ..Workload::default()
    };
    let mut scene = Scene::begin(world, 2, workload).await?;
    // WHEN the disk is full under load, and nothing can be committed any more
    scene.world.postgres()?.disk()?.fill()?;
    let mut committed = scene.producers.committed();
    let mut quiet = 0;
    until("nothing is committed any more", LIMIT, async || {
        let now = scene.producers.committed();
        quiet = if now == committed { quiet + 1 } else { 0 };
        committed = now;
        Ok((quiet > 100).then_some(()))
    })
    .await?;
    // THEN when there is room again, producers and relays go on; a server that gave up is started by whoever looks after it
    scene.world.postgres()?.disk()?.clear()?;
    if scene.world.postgres()?.has_ended()? {
        scene.world.postgres()?.start_again()?;
    }
    scene.crew.leader().await?;
    scene.producers.commit_more(100, LIMIT).await?;
    // AND nothing is lost, doubled or turned; what failed, failed with Postgres' own words
    let journal = scene.ends_well().await?;
    eprintln!(
        "{} transactions failed, first: {:?}",
        journal.errors.len(),
        journal.errors.first()
    );
    assert!(
        journal.errors.iter().any(|error| error.contains("53100")),
        "no transaction failed for want of room: nothing was shown"
    );
    Ok(())
}

#[tokio::test]
async fn a_relay_whose_postgres_has_no_room_says_so_and_goes_on_when_there_is_some() -> Result {
    // GIVEN events in the log, a ledger without a page to write the first batch to, and no room for one
    let postgres = Postgres::options()
        .disk(POSTGRES_BYTES)
        .set("max_wal_size", "64MB")
        .set("min_wal_size", "32MB");
    let mut world = World::with_own_servers(postgres, Redis::options()).await?;
    let topics = ["orders.placed".to_owned()];
    let journal = backlog(&world, &topics, 1, 100, 10).await?;
    world.postgres()?.disk()?.fill()?;
    // WHEN a relay comes, THEN it is not ready and says why, with the code and what to do
    let mut relay = patient(Relay::of(&world)).start()?;
    let said = relay.not_ready_because("53100").await?;
    assert!(said.contains("make room on Postgres"), "{said}");
    assert_eq!(entries_of(&world, &topics).await?, 0, "published without a batch");
    // AND it goes on by itself when there is room
    world.postgres()?.disk()?.clear()?;
    relay.ready().await?;
    arrived(&world, &topics, LIMIT).await?;
    assert!(relay.terminate().await?.success());
    judge(&world, &journal, &topics).await?.clean()
}

#[tokio::test]
async fn a_redis_that_cannot_write_its_file_holds_everything_until_it_can() -> Result {
    // GIVEN two relays under load, and a Redis that writes to a small disk
    let redis = Redis::options()
        .disk(REDIS_BYTES)
        .set("appendonly", "yes")
        .set("appendfsync", "everysec")
        .set("auto-aof-rewrite-percentage", 0);
    let world = World::with_own_servers(Postgres::options(), redis).await?;
    let options = patient(Relay::of(&world));
    let mut scene = Scene::begin_with(world, options, 2, moderate()).await?;
    // WHEN the disk is full THEN the leader is not ready and says why, in the words of Redis
    scene.world.redis_server()?.disk()?.fill()?;
    let leader = scene.crew.leader().await?;
    scene.crew.relay(leader).not_ready_because("MISCONF").await?;
    // AND producers go on meanwhile
    scene.producers.commit_more(200, LIMIT).await?;
    // WHEN there is room again, THEN it goes on by itself
    scene.world.redis_server()?.disk()?.clear()?;
    scene.crew.relay(leader).ready().await?;
    let journal = scene.ends_well().await?;
    assert_eq!(journal.errors, Vec::<String>::new(), "producers felt it");
    Ok(())
}
