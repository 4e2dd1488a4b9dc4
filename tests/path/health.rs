//! What the relay says over HTTP: alive whatever its servers do, ready only when work moves, and how far it is behind.

use std::time::Duration;

use sqlx::{Connection, Executor};
use system_tests::patience::until;
use system_tests::{Relay, Result, World};

/// Gauges of the backlog are read every five seconds.
const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_relay_without_servers_is_alive_and_says_why_it_is_not_ready() -> Result {
    let world = World::new().await?;
    let cases = [
        ("DATABASE_URL", "postgres://u:hush@127.0.0.1:1/d", "Postgres"),
        ("REDIS_URL", "redis://:hush@127.0.0.1:1", "Redis"),
    ];
    for (variable, url, server) in cases {
        // GIVEN a relay whose one server is not there
        let mut relay = Relay::of(&world).set(variable, url).start()?;
        // WHEN it has tried THEN it is alive, not ready, and names the cause without the password
        let said = until("a cause", LIMIT, async || {
            let body = relay.not_ready().await?;
            Ok(body["cause"].as_str().map(str::to_owned))
        })
        .await?;
        assert!(said.contains(server) && !said.contains("hush"), "{said}");
        assert_eq!(relay.get("/livez").await?.0, 200);
        assert_eq!(relay.terminate().await?.code(), Some(0));
        assert!(!relay.log_tail().contains("hush"));
    }
    Ok(())
}

#[tokio::test]
async fn metrics_say_how_far_publishing_is_behind_and_who_holds_events_back() -> Result {
    // GIVEN a topic that was set aside with two events, and a transaction that appended and idles
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut connection = world.connect().await?;
    connection
        .execute("select outbox.append('t', json_build_object('x', repeat('x', 5000)))")
        .await?;
    connection.execute("select outbox.append('t', '{}')").await?;
    let mut idle = world.connect().await?;
    let mut held = idle.begin().await?;
    held.execute("select outbox.append('u', '{}')").await?;
    // WHEN a relay runs
    let mut relay = Relay::of(&world)
        .set("OUTBOX_PUBLISH_MAX_ENTRY_BYTES", "2 KiB")
        .start()?;
    relay.leads().await?;
    // THEN it counts both events, the stream that stopped and the transaction
    until("the gauges", LIMIT, async || {
        let seen = [
            relay.metric("outbox_ops_backlog_events").await?,
            relay.metric("outbox_ops_stopped_streams").await?,
            relay.metric("outbox_ops_waiting_transactions").await?,
        ];
        Ok((seen == [2.0, 1.0, 1.0]).then_some(()))
    })
    .await?;
    assert!(relay.metric("outbox_ops_oldest_unpublished_age_seconds").await? > 0.0);
    assert!(relay.metric("outbox_ops_sampled_timestamp_seconds").await? > 0.0);
    held.rollback().await?;
    // WHEN the topic's event is given up THEN the backlog goes to zero
    connection.execute("select outbox.skip_event('t', (select event_id from outbox_ops.topics where state = 'set_aside'), 'test')").await?;
    until("no backlog", LIMIT, async || {
        Ok((relay.metric("outbox_ops_backlog_events").await? == 0.0).then_some(()))
    })
    .await?;
    Ok(())
}
