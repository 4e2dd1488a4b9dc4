//! Writers with open transactions, late commits and rollbacks, and processes killed at random: what was applied is what is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use outbox_core::event_store::PageLimits;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::{Executor as _, PgPool};
use system_tests::login::Login;
use system_tests::{Failure, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::scene::{Recorder, Scene, append, quick, start};

const WRITERS: u64 = 8;
const TRANSACTIONS: u32 = 60;
const STREAMS: u32 = 12;

/// One writer: some transactions do something else first, some stay open, some append twice, some are rolled back.
async fn write(pool: PgPool, seed: u64) -> Result {
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..TRANSACTIONS {
        let mut transaction = pool.begin().await?;
        if random.random_bool(0.4) {
            // It has its id long before it appends.
            transaction.execute("select pg_current_xact_id()").await?;
            tokio::time::sleep(Duration::from_millis(random.random_range(0..20))).await;
        }
        // In the order of their names, so that no two wait for each other.
        let mut streams: Vec<u32> = (0..random.random_range(1..3))
            .map(|_| random.random_range(0..STREAMS))
            .collect();
        streams.sort_unstable();
        for stream in streams {
            append(&mut transaction, &format!("order-{stream:02}"), &["placed"][..]).await?;
        }
        if random.random_bool(0.3) {
            tokio::time::sleep(Duration::from_millis(random.random_range(0..40))).await;
        }
        if random.random_bool(0.2) {
            transaction.rollback().await?;
        } else {
            transaction.commit().await?;
        }
    }
    Ok(())
}

/// Two processes at a time, each killed after a while, with its connections; or only its connections.
async fn apply_and_kill(scene_url: String, seed: u64, token: CancellationToken) -> Result {
    let mut random = StdRng::seed_from_u64(seed);
    while !token.is_cancelled() {
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(6)
            .connect(&scene_url)
            .await?;
        let subscription = quick("all").partitions(3).limits(PageLimits {
            events_max: random.random_range(1..20),
            ..PageLimits::default()
        });
        let running = start(pool.clone(), subscription, Recorder::plain());
        tokio::select! {
            () = token.cancelled() => {}
            () = tokio::time::sleep(Duration::from_millis(random.random_range(300..2_500))) => {}
        }
        if random.random_bool(0.5) {
            running.kill();
        } else {
            running.stop().await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_was_applied_is_what_is_stored_whatever_happens() -> Result {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let scene = Scene::new().await?;
    // Processes come and go, and connections with them.
    let (token, mut processes) = (CancellationToken::new(), JoinSet::new());
    for n in 0..2 {
        let url = scene.world.log().url_of(Login::Service);
        processes.spawn(apply_and_kill(url, seed.wrapping_add(100 + n), token.clone()));
    }
    let mut writers = JoinSet::new();
    for n in 0..WRITERS {
        writers.spawn(write(scene.pool.clone(), seed.wrapping_add(n)));
    }
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    let stored: Vec<(String, i64)> =
        sqlx::query_as("select stream, version from outbox.stored_event order by stream, version")
            .fetch_all(&scene.pool)
            .await?;
    let outcome = scene.has_applied(stored.len()).await;
    token.cancel();
    while let Some(ended) = processes.join_next().await {
        ended??;
    }
    // THEN each event has its effect once, in the order of its stream
    outcome?;
    let applied = scene.applied().await?;
    let mut by_stream: BTreeMap<&str, i64> = BTreeMap::new();
    for (stream, version) in &applied {
        let last = by_stream.entry(stream).or_default();
        if *version != *last + 1 {
            return Err(Failure::new(format!(
                "{stream}: version {version} was applied behind {last} (seed {seed})"
            )));
        }
        *last = *version;
    }
    let mut sorted = applied.clone();
    sorted.sort();
    assert_eq!(sorted, stored, "seed {seed}");
    Ok(())
}
