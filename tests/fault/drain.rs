//! A relay killed in the middle of draining a backlog: where pollers double thousands (G1, G5).

use std::time::Duration;

use system_tests::arrival::{arrived, backlog, entries_of, judge};
use system_tests::patience::until;
use system_tests::{Relay, Result, World};

const KILLS: u64 = 10;
const EVENTS: u64 = 150_000;
/// So that the tenth kill still comes before the end.
const BETWEEN_KILLS: u64 = EVENTS / (KILLS + 5);
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test]
async fn ten_kills_in_the_middle_of_draining_150_000_events_double_and_lose_nothing() -> Result {
    // GIVEN a backlog over three topics
    let world = World::new().await?;
    let topics = ["orders.placed", "payments.taken", "stock.moved"].map(str::to_owned);
    let journal = backlog(&world, &topics, 3, 50_000, 20).await?;
    // WHEN the relay that drains it is killed ten times on the way
    let relay = Relay::of(&world);
    for kill in 1..=KILLS {
        let mut draining = relay.start()?;
        let before = entries_of(&world, &topics).await?;
        let seen = until("the drain goes on", LIMIT, async || {
            let seen = entries_of(&world, &topics).await?;
            Ok((seen >= before + BETWEEN_KILLS).then_some(seen))
        })
        .await?;
        draining.kill()?;
        assert!(
            seen < EVENTS,
            "kill {kill} came after the end of the drain: {seen} entries"
        );
    }
    let mut last = relay.start()?;
    arrived(&world, &topics, LIMIT).await?;
    assert!(last.terminate().await?.success());
    // THEN each event is on its stream once, in order
    judge(&world, &journal, &topics).await?.clean()
}
