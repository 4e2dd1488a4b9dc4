//! A Redis that throws keys away (row 24 of docs/faults.md).

use system_tests::arrival::{arrived, backlog, entries_of};
use system_tests::{Relay, Result, World};
use xtask::servers::{Postgres, Redis};

use crate::scene::{LIMIT, patient};

#[tokio::test]
async fn a_redis_that_would_evict_streams_is_refused() -> Result {
    // GIVEN a Redis that throws keys away when it is full
    let redis = Redis::options()
        .set("maxmemory", "100mb")
        .set("maxmemory-policy", "allkeys-lru");
    let world = World::with_own_servers(Postgres::options(), redis).await?;
    let topics = ["orders.placed".to_owned()];
    backlog(&world, &topics, 1, 10, 10).await?;
    // WHEN a relay finds it THEN nothing is published, and the setting is named
    let mut relay = patient(Relay::of(&world)).start()?;
    relay.not_ready_because("maxmemory-policy").await?;
    assert_eq!(entries_of(&world, &topics).await?, 0);
    // AND it goes on by itself when that is mended
    redis::cmd("CONFIG")
        .arg(&["SET", "maxmemory-policy", "noeviction"])
        .query_async::<()>(&mut world.redis().await?)
        .await?;
    arrived(&world, &topics, LIMIT).await?;
    Ok(())
}
