//! One transaction with very many events is one batch, and is never held in memory whole (G11).

use std::time::Duration;

use system_tests::arrival::{arrived, backlog, judge};
use system_tests::{Relay, Result, World};

const EVENTS: i32 = 200_000;
const PAYLOAD_BYTES: i32 = 500;
/// The events alone are 100 MB, in memory several times that.
const MEMORY_BYTES: u64 = 128 << 20;
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_transaction_of_200_000_events_is_published_in_bounded_memory() -> Result {
    // GIVEN one transaction of 200,000 events over three topics
    let world = World::new().await?;
    let topics = ["orders.placed", "payments.taken", "stock.moved"].map(str::to_owned);
    let journal = backlog(&world, &topics, 1, EVENTS, PAYLOAD_BYTES).await?;
    // WHEN a relay publishes it
    let mut relay = Relay::of(&world).start()?;
    arrived(&world, &topics, LIMIT).await?;
    let peak = relay.peak_memory_bytes()?;
    assert!(relay.terminate().await?.success());
    // THEN it was one batch, and the relay held a small part of it at any time
    let largest: i64 = sqlx::query_scalar("select max(event_count) from outbox.batch")
        .fetch_one(&mut world.connect().await?)
        .await?;
    assert_eq!(largest, i64::from(EVENTS));
    eprintln!("peak memory {} MiB", peak >> 20);
    assert!(
        peak <= MEMORY_BYTES,
        "the relay had {} MiB at its peak",
        peak >> 20
    );
    judge(&world, &journal, &topics).await?.clean()
}
