//! A Redis that is away, read-only, full, or has something else in the place of a stream (G1, G4, G5, G7).

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use system_tests::arrival::{arrived, backlog, entries_of, judge, stream_of};
use system_tests::patience::until;
use system_tests::{Failure, Journal, Producers, Relay, Result, Workload, World};
use xtask::servers::{Postgres, Redis};

const LIMIT: Duration = Duration::from_secs(120);
/// No business commit on this machine may take so long because of Redis.
const COMMIT_LIMIT: Duration = Duration::from_secs(3);

/// Enough for some shares of a stream that are in flight, not for all.
const ROOM_BYTES: u64 = 1_000_000;

struct Scene {
    world: World,
    relay: Relay,
    producers: Producers,
    topics: Vec<String>,
}

/// Servers of its own, a leading relay, eight writers, and some events through already.
async fn scene() -> Result<Scene> {
    let world = World::with_own_servers(Postgres::options(), Redis::options().durable()).await?;
    let workload = Workload {
        pause: Duration::from_millis(3),
        ..Workload::default()
    };
    let topics = workload.topics.clone();
    let mut relay = Relay::of(&world)
        .set("OUTBOX_PUBLISH_BACKOFF_MAX", "500ms")
        .start()?;
    relay.leads().await?;
    let mut producers = workload.start(world.log()).await?;
    producers.commit_more(50, LIMIT).await?;
    arrived(&world, &topics, LIMIT).await?;
    Ok(Scene {
        world,
        relay,
        producers,
        topics,
    })
}

impl Scene {
    /// Everything arrives once, in order, and the producers never noticed.
    async fn ends_well(mut self) -> Result {
        self.producers.commit_more(50, LIMIT).await?;
        let journal = self.producers.stop().await?;
        arrived(&self.world, &self.topics, LIMIT).await?;
        assert!(self.relay.terminate().await?.success());
        producers_felt_nothing(&journal);
        judge(&self.world, &journal, &self.topics).await?.clean()
    }
}

fn producers_felt_nothing(journal: &Journal) {
    assert_eq!(journal.errors, Vec::<String>::new());
    assert!(
        journal.slowest < COMMIT_LIMIT,
        "a transaction took {:?}",
        journal.slowest
    );
}

async fn configure(redis: &mut MultiplexedConnection, name: &str, value: impl ToString) -> Result {
    Ok(redis::cmd("CONFIG")
        .arg("SET")
        .arg(name)
        .arg(value.to_string())
        .query_async::<()>(redis)
        .await?)
}

/// Lets it take this much more than it has, and then no more.
async fn give_room(redis: &mut MultiplexedConnection, bytes: u64) -> Result {
    let info: redis::InfoDict = redis::cmd("INFO").arg("memory").query_async(redis).await?;
    let used: u64 = info
        .get("used_memory")
        .ok_or_else(|| Failure::new("INFO memory has no used_memory"))?;
    configure(redis, "maxmemory", used + bytes).await
}

/// How many commands were refused for want of memory.
async fn refusals(redis: &mut MultiplexedConnection) -> Result<u64> {
    let info: String = redis::cmd("INFO").arg("errorstats").query_async(redis).await?;
    let count = info
        .lines()
        .find_map(|line| line.strip_prefix("errorstat_OOM:count="));
    Ok(count.map_or(Ok(0), |count| count.trim().parse())?)
}

#[tokio::test]
async fn a_redis_that_is_killed_and_comes_back_costs_nothing_but_time() -> Result {
    let mut scene = scene().await?;
    for _ in 0..3 {
        // GIVEN a Redis that is killed while entries are in flight
        scene.world.redis_server()?.kill()?;
        // WHEN producers go on, and it comes back with what it had written
        scene.producers.commit_more(100, LIMIT).await?;
        let why = scene.relay.not_ready().await?;
        assert!(
            why["cause"].as_str().is_some_and(|cause| !cause.is_empty()),
            "{why}"
        );
        scene.world.redis_server()?.start_again()?;
        scene.relay.ready().await?;
        scene.producers.commit_more(100, LIMIT).await?;
    }
    // THEN nothing is lost or doubled
    scene.ends_well().await
}

#[tokio::test]
async fn a_redis_that_becomes_read_only_holds_everything_until_it_is_not() -> Result {
    let mut scene = scene().await?;
    // GIVEN a Redis that was made a replica of nothing
    let mut redis = scene.world.redis().await?;
    redis::cmd("REPLICAOF")
        .arg("127.0.0.1")
        .arg(1)
        .query_async::<()>(&mut redis)
        .await?;
    // WHEN producers go on
    scene.producers.commit_more(200, LIMIT).await?;
    scene.relay.not_ready().await?;
    // THEN everything waits, and arrives when it is a primary again
    redis::cmd("REPLICAOF")
        .arg("NO")
        .arg("ONE")
        .query_async::<()>(&mut redis)
        .await?;
    scene.ends_well().await
}

#[tokio::test]
async fn a_full_redis_holds_everything_until_there_is_room() -> Result {
    let mut scene = scene().await?;
    // GIVEN a Redis without room that evicts nothing
    let mut redis = scene.world.redis().await?;
    configure(&mut redis, "maxmemory", 1).await?;
    // WHEN producers go on
    scene.producers.commit_more(200, LIMIT).await?;
    scene.relay.not_ready().await?;
    // THEN everything waits, and arrives when there is room again
    configure(&mut redis, "maxmemory", 0).await?;
    scene.ends_well().await
}

#[tokio::test]
async fn room_that_comes_and_goes_in_the_middle_of_a_pipeline_loses_and_turns_nothing() -> Result {
    // GIVEN a backlog and a Redis that is nearly full
    let world = World::with_own_servers(Postgres::options(), Redis::options()).await?;
    let topics = ["orders.placed", "payments.taken", "stock.moved"].map(str::to_owned);
    let journal = backlog(&world, &topics, 1, 30_000, 100).await?;
    let mut redis = world.redis().await?;
    give_room(&mut redis, ROOM_BYTES).await?;
    let mut relay = Relay::of(&world)
        .set("OUTBOX_PUBLISH_BACKOFF_MAX", "50ms")
        .start()?;
    // WHEN it is full again and again, and each time there is room for a part of what is in flight
    let mut refused = 0;
    let mut times_full = 0;
    until("everything arrives", LIMIT, async || {
        let now = refusals(&mut redis).await?;
        if now > refused {
            give_room(&mut redis, ROOM_BYTES).await?;
            (refused, times_full) = (now, times_full + 1);
        }
        Ok((entries_of(&world, &topics).await? >= 30_000).then_some(()))
    })
    .await?;
    assert!(relay.terminate().await?.success());
    // THEN each stream has each event once, in order, with an unbroken chain
    assert!(
        times_full > 5,
        "Redis was full {times_full} times only: nothing was shown"
    );
    judge(&world, &journal, &topics).await?.clean()
}

#[tokio::test]
async fn a_stream_of_the_wrong_type_lags_alone() -> Result {
    // GIVEN a topic whose stream's place is taken by a string
    let world = World::new().await?;
    let topics = ["orders.placed", "payments.taken", "stock.moved"].map(str::to_owned);
    let mut redis = world.redis().await?;
    redis::cmd("SET")
        .arg(stream_of(&topics[1]))
        .arg("mine")
        .query_async::<()>(&mut redis)
        .await?;
    let journal = backlog(&world, &topics, 3, 1000, 20).await?;
    // WHEN a relay publishes
    let mut relay = Relay::of(&world)
        .set("OUTBOX_PUBLISH_BACKOFF_MAX", "500ms")
        .start()?;
    // THEN the others arrive meanwhile
    let others = [topics[0].clone(), topics[2].clone()];
    arrived(&world, &others, LIMIT).await?;
    // AND this one when its place is free, in order
    redis::cmd("DEL")
        .arg(stream_of(&topics[1]))
        .query_async::<()>(&mut redis)
        .await?;
    arrived(&world, &topics, LIMIT).await?;
    assert!(relay.terminate().await?.success());
    judge(&world, &journal, &topics).await?.clean()
}
