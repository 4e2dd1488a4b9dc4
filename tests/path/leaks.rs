//! What relay and consumer say about themselves holds no payload, at any level of the log, whatever goes wrong (G12).

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor};
use system_tests::patience::until;
use system_tests::{Relay, Result, Schema, World};

use crate::publish::action;

const LIMIT: Duration = Duration::from_secs(120);
/// In every payload.
const PAYLOAD: &str = "card-4711";
/// The key: a personal datum as likely as not.
const KEY: &str = "customer-0815";
/// Everything of ours, and what the drivers have to say without the bytes that they carry.
const EVERYTHING: &str = "debug,outbox_core=trace,outbox_relay=trace";

/// Neither payload nor key is in the log, the metrics or the answers about health, and no payload in a view.
async fn says_nothing_of_events(world: &World, process: &Relay) -> Result {
    let mut said = vec![("the log", process.log())];
    for page in ["/metrics", "/readyz", "/livez"] {
        said.push((page, process.get(page).await?.1));
    }
    for (place, text) in said {
        for secret in [PAYLOAD, KEY] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} in {place}");
        }
    }
    let mut connection = world.connect().await?;
    let views: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relnamespace = 'outbox_ops'::regnamespace and relkind = 'v'",
    )
    .fetch_all(&mut connection)
    .await?;
    assert!(!views.is_empty());
    for view in views {
        let rows = format!("select coalesce(string_agg(v::text, ' '), '') from outbox_ops.{view} v");
        let rows: String = sqlx::query_scalar(AssertSqlSafe(rows))
            .fetch_one(&mut connection)
            .await?;
        assert!(!rows.contains(PAYLOAD), "{PAYLOAD} in {view}: {rows}");
    }
    Ok(())
}

#[tokio::test]
async fn a_relay_says_nothing_of_what_it_publishes_or_cannot_publish() -> Result {
    // GIVEN a relay that logs everything, and a stream that takes nothing
    let world = World::new().await?;
    let mut redis = world.redis().await?;
    redis::cmd("SET")
        .arg("outbox:blocked")
        .arg("text")
        .query_async::<()>(&mut redis)
        .await?;
    let mut relay = Relay::of(&world)
        .set("OUTBOX_LOG_LEVEL", EVERYTHING)
        .set("OUTBOX_PUBLISH_MAX_ENTRY_BYTES", 2_000)
        .start()?;
    relay.leads().await?;
    // WHEN events are published, refused by their stream, and too large
    let mut connection = world.connect().await?;
    for (topic, times) in [("good", 1), ("blocked", 1), ("large", 300)] {
        sqlx::query("select outbox.append($1, to_json(repeat($2, $3)), key => $4)")
            .bind(topic)
            .bind(PAYLOAD)
            .bind(times)
            .bind(KEY)
            .execute(&mut connection)
            .await?;
    }
    let good = crate::arrivals::arrived(&mut redis, "outbox:good", 1).await?;
    assert!(good[0].json.contains(PAYLOAD) && good[0].json.contains(KEY));
    action(&mut connection, "blocked", "blocked").await?;
    action(&mut connection, "large", "set_aside").await?;
    // THEN it has said so, and nothing of what they hold
    relay.logs("set aside", LIMIT).await?;
    says_nothing_of_events(&world, &relay).await
}

#[tokio::test]
async fn a_consumer_says_nothing_of_what_it_applies_or_gives_up() -> Result {
    // GIVEN a consumer that logs everything, whose function quotes the payload when it refuses it
    let world = World::with_schema(Schema::Both).await?;
    let mut connection = world.connect().await?;
    connection
        .execute(
            "create function public.refuse(event json) returns void language plpgsql as $$
             begin
                 if event -> 'data' ->> 'refuse' = 'yes' then raise exception 'cannot take %', event; end if;
             end $$",
        )
        .await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut consumer = Relay::command(&[
        "consume",
        "--group",
        "g",
        "--topic",
        "t",
        "--call",
        "public.refuse",
    ])
    .set("DATABASE_URL", world.database_url())
    .set("REDIS_URL", world.redis_url())
    .set("OUTBOX_LOG_LEVEL", EVERYTHING)
    .set("OUTBOX_CONSUME_ATTEMPTS", 2)
    .set("OUTBOX_CONSUME_BACKOFF_MIN", "10ms")
    .set("OUTBOX_CONSUME_BACKOFF_MAX", "10ms")
    .start()?;
    consumer.ready().await?;
    // WHEN it applies one event, gives one up after two attempts, and cannot read a third
    for refuse in ["no", "yes"] {
        sqlx::query("select outbox.append('t', json_build_object('refuse', $1, 'card', $2), key => $3)")
            .bind(refuse)
            .bind(PAYLOAD)
            .bind(KEY)
            .execute(&mut connection)
            .await?;
    }
    crate::arrivals::arrived(&mut world.redis().await?, "outbox:t", 2).await?;
    redis::cmd("XADD")
        .arg(&["outbox:t", "*", "event", &format!("{{\"card\": \"{PAYLOAD}\"")])
        .query_async::<()>(&mut world.redis().await?)
        .await?;
    until("two events are given up", LIMIT, async || {
        let letters: i64 = sqlx::query_scalar("select count(*) from outbox.dead_letter")
            .fetch_one(&mut connection)
            .await?;
        Ok((letters == 2).then_some(()))
    })
    .await?;
    // THEN it has said so, and nothing of what they hold
    consumer.logs("given up", LIMIT).await?;
    says_nothing_of_events(&world, &consumer).await
}
