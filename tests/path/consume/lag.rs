//! How far behind a consumer is and what waits of it, as its metrics tell.

use std::time::{Duration, SystemTime};

use outbox_core::event::EntryId;
use sqlx::Executor;
use system_tests::patience::until;
use system_tests::{Relay, Result};

use super::bench::{Bench, GROUP, TOPIC};

/// It is looked every ten seconds.
const LIMIT: Duration = Duration::from_secs(120);
/// Entries are put as if they were from then.
const MINUTE: Duration = Duration::from_secs(60);

/// Waits for a lock that the test holds, and refuses what is of key `poison`.
const FUNCTION: &str = "
    create schema shop authorization test_consumer;
    create function shop.apply(event json) returns void language plpgsql as $$
    begin
        perform pg_advisory_xact_lock_shared(4711);
        if event ->> 'partitionkey' = 'poison' then
            raise exception 'refused';
        end if;
    end $$";

async fn put(bench: &mut Bench, batch_id: u64, keys: &[&str], from: u64) -> Result {
    for (n, key) in (from..).zip(keys) {
        let id = |n| EntryId::new(batch_id, n).to_string();
        let previous = if n == 1 {
            EntryId::MIN.to_string()
        } else {
            id(n - 1)
        };
        bench.put(&id(n), Some(&previous), key, n.cast_signed()).await?;
    }
    Ok(())
}

async fn shows(consumer: &Relay, wanted: &[(&str, f64)]) -> Result {
    until(&format!("{wanted:?}"), LIMIT, async || {
        for (name, value) in wanted {
            if consumer.metric(&format!("outbox_consume_{name}")).await? != *value {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn metrics_tell_how_far_behind_a_consumer_is_and_what_waits() -> Result {
    // GIVEN a consumer whose handler waits, and entries of a minute ago
    let mut bench = Bench::new().await?;
    bench.pool.execute(FUNCTION).await?;
    let mut held = bench.pool.acquire().await?;
    held.execute("select pg_advisory_lock(4711)").await?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let batch_id = u64::try_from((now - MINUTE).as_millis())?;
    put(&mut bench, batch_id, &["a", "b", "a", "c"], 1).await?;
    let arguments = [
        "consume",
        "--group",
        GROUP,
        "--topic",
        TOPIC,
        "--call",
        "shop.apply",
    ];
    let options = Relay::command(&arguments)
        .set("DATABASE_URL", bench.world.database_url())
        .set("REDIS_URL", bench.world.redis_url())
        .set("OUTBOX_CONSUME_ATTEMPTS", 1);
    let mut consumer = options.start()?;
    consumer.ready().await?;
    // WHEN it stands still THEN it is behind by as many, and by as long
    shows(&consumer, &[("lag_events", 4.0)]).await?;
    assert!(consumer.metric("outbox_consume_lag_seconds").await? >= MINUTE.as_secs_f64());
    // WHEN it goes on, and an event is poison with two of its key behind it
    held.execute("select pg_advisory_unlock(4711)").await?;
    put(&mut bench, batch_id, &["poison", "poison", "d", "poison"], 5).await?;
    // THEN it is not behind, and says what waits; a second member adds nothing to that
    let mut second = options.start()?;
    second.ready().await?;
    let waiting = [
        ("lag_events", 0.0),
        ("lag_seconds", 0.0),
        ("parked_keys", 1.0),
        ("waiting_events", 2.0),
    ];
    shows(&consumer, &waiting).await?;
    shows(&consumer, &[("open_dead_letters", 1.0)]).await?;
    shows(&second, &[("parked_keys", 0.0), ("open_dead_letters", 0.0)]).await?;
    let (_, page) = consumer.get("/metrics").await?;
    for (outcome, count) in [("applied", 5), ("dead", 1)] {
        let line = format!("outcome=\"{outcome}\"}} {count}");
        let is_there = page
            .lines()
            .any(|at| at.starts_with("outbox_consume_attempts_total") && at.ends_with(&line));
        assert!(is_there, "{line} in {page}");
    }
    Ok(())
}
