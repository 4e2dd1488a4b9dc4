//! What the relay says over HTTP: alive whatever its servers do, ready only when work moves, and how far it is behind.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor};
use system_tests::patience::until;
use system_tests::{Relay, Result, Schema, World};

/// Gauges of the backlog are read every five seconds.
const LIMIT: Duration = Duration::from_secs(120);

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

#[tokio::test]
async fn a_consumer_is_ready_only_while_it_can_apply() -> Result {
    // GIVEN a consumer of a quiet stream
    let world = World::new().await?;
    let shop = world.another_database(Schema::Inbox).await?;
    let mut database = shop.connect().await?;
    for statement in [
        "create schema shop authorization test_consumer",
        "create function shop.apply(event json) returns void language sql as ''",
    ] {
        database.execute(statement).await?;
    }
    database.close().await?;
    let arguments = [
        "consume",
        "--group",
        "stock",
        "--topic",
        "orders.placed",
        "--call",
        "shop.apply",
    ];
    let mut consumer = Relay::command(&arguments)
        .set("DATABASE_URL", shop.url())
        .set("REDIS_URL", world.redis_url())
        .set("OUTBOX_CONSUME_LEASE_TTL", "1s")
        .start()?;
    consumer.ready().await?;
    // WHEN something else lies under the stream's key, THEN it says so, and is ready again when that is gone
    let mut redis = world.redis().await?;
    let key = "outbox:orders.placed";
    redis::cmd("SET")
        .arg(key)
        .arg("x")
        .query_async::<()>(&mut redis)
        .await?;
    consumer.not_ready_because("WRONGTYPE").await?;
    redis::cmd("DEL").arg(key).query_async::<()>(&mut redis).await?;
    consumer.ready().await?;
    // WHEN its database lets nobody in, THEN it notices although no event comes
    let mut administrator = world.connect().await?;
    let allow = |yes: bool| format!("alter database {} allow_connections {yes}", shop.name());
    administrator.execute(AssertSqlSafe(allow(false))).await?;
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1";
    sqlx::query(end)
        .bind(shop.name())
        .execute(&mut administrator)
        .await?;
    consumer.not_ready_because("Postgres").await?;
    administrator.execute(AssertSqlSafe(allow(true))).await?;
    consumer.ready().await?;
    assert_eq!(
        consumer.terminate().await?.code(),
        Some(0),
        "{}",
        consumer.log_tail()
    );
    Ok(())
}
