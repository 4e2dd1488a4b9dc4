//! What stands still is named by `/readyz` and by `outbox-relay status`, each with its cause.

use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use system_tests::patience::until;
use system_tests::{Answer, Invocation, Relay, Result, World};

/// Three times the five seconds in which every relay looks.
const LIMIT: Duration = Duration::from_secs(15);
/// What only says that something hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// An entry at the sink is of a batch that this ledger never cut.
const AHEAD: &str = "STREAM-IS-AHEAD";

async fn world() -> Result<(World, Relay, PgConnection)> {
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    append(&mut connection).await?;
    Ok((world, relay, connection))
}

async fn append(connection: &mut PgConnection) -> Result {
    connection.execute("select outbox.append('orders', '{}')").await?;
    Ok(())
}

/// The row of this cause, if all of these words are in it.
fn row<'a>(rows: &'a Value, cause: &str, words: &[&str]) -> Option<&'a Value> {
    let mut rows = rows.as_array()?.iter();
    rows.find(|row| row["cause"] == cause && words.iter().all(|word| row.to_string().contains(word)))
}

/// What `/readyz` and `status` say, as soon as both name this cause with all of these words; in time from the fault on, or the test
/// fails.
async fn named(
    world: &World,
    relay: &Relay,
    fault: Instant,
    cause: &str,
    words: &[&str],
) -> Result<(Value, Answer)> {
    let mut seen = String::new();
    let left = LIMIT.saturating_sub(fault.elapsed());
    let both = until("readyz and status name the cause", left, async || {
        let (_, body) = relay.get("/readyz").await?;
        let status = Invocation::of(world, &["status", "--output", "json"])?.ask()?;
        seen = format!("{body}\n{}{}", status.output, status.errors);
        let body: Value = serde_json::from_str(&body)?;
        let is_named = row(&body["causes"], cause, words).is_some()
            && row(&status.json()?["causes"], cause, words).is_some();
        Ok(is_named.then_some((body, status)))
    })
    .await;
    if both.is_err() {
        eprintln!("wanted {cause} with {words:?}, and saw last:\n{seen}");
    }
    both
}

#[tokio::test]
async fn a_stranger_that_holds_its_events_back_is_named_and_the_relay_stays_ready() -> Result {
    // GIVEN a transaction that appended and idles
    let (world, relay, _) = world().await?;
    let mut stranger = world.connect().await?;
    stranger.execute("set application_name = 'slow-shop'").await?;
    let mut held = stranger.begin().await?;
    append(&mut held).await?;
    let fault = Instant::now();
    // THEN it is named, with what it holds back, and the relay is as ready as before
    let (body, status) = named(
        &world,
        &relay,
        fault,
        "transaction",
        &["note", "slow-shop", "appends"],
    )
    .await?;
    assert_eq!(body["ready"], true, "{body}");
    assert_eq!(status.code, 0, "{}", status.output);
    // AND when it ends, nothing is said any more
    held.commit().await?;
    until("no cause", PATIENCE, async || {
        let (_, body) = relay.get("/readyz").await?;
        Ok((!body.contains("slow-shop")).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_redis_that_is_down_is_named() -> Result {
    let (mut world, relay, _) = world().await?;
    world.redis_server()?.kill()?;
    let fault = Instant::now();
    let (body, status) = named(&world, &relay, fault, "waiting", &["stalled", "Redis"]).await?;
    assert_eq!(body["standing"], "waiting", "{body}");
    assert_eq!(status.code, 3, "{}", status.output);
    Ok(())
}

#[tokio::test]
async fn a_redis_that_is_full_or_read_only_is_named() -> Result {
    let (mut world, mut relay, mut connection) = world().await?;
    for (command, word, mend) in [
        ("CONFIG SET maxmemory 1", "OOM", "CONFIG SET maxmemory 0"),
        ("REPLICAOF 127.0.0.1 1", "READONLY", "REPLICAOF NO ONE"),
    ] {
        world.redis_server()?.command(command)?;
        append(&mut connection).await?;
        let fault = Instant::now();
        let (body, status) = named(&world, &relay, fault, "waiting", &["stalled", word]).await?;
        assert_eq!(body["ready"], false, "{body}");
        assert_eq!(status.code, 3, "{}", status.output);
        world.redis_server()?.command(mend)?;
        relay.leads().await?;
    }
    Ok(())
}

#[tokio::test]
async fn that_nobody_holds_the_lease_is_named_and_why_a_relay_cannot_take_it() -> Result {
    // GIVEN a relay that leads
    let (world, mut relay, _) = world().await?;
    let mut administrator = world.connect().await?;
    // WHEN its role loses the right to the lease
    administrator
        .execute("revoke update on outbox.lease from outbox_relay")
        .await?;
    let fault = Instant::now();
    // THEN both say that nobody leads, and it says what it is refused
    let (body, status) = named(
        &world,
        &relay,
        fault,
        "no_lease",
        &["tail", "no relay holds the lease"],
    )
    .await?;
    let cause = body["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("lease") && cause.contains("42501"), "{body}");
    assert_eq!(body["ready"], false, "{body}");
    assert_eq!(status.code, 3, "{}", status.output);
    // AND when it may again, it leads, and nothing is said
    administrator
        .execute("grant update on outbox.lease to outbox_relay")
        .await?;
    relay.leads().await?;
    until("no cause", PATIENCE, async || {
        let (_, body) = relay.get("/readyz").await?;
        Ok((!body.contains("no_lease")).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_database_that_went_back_in_time_is_named() -> Result {
    // GIVEN a copy of the server, and events that were published after it was made
    let (mut world, relay, mut connection) = world().await?;
    let backup = world.postgres()?.back_up()?;
    for _ in 0..3 {
        append(&mut connection).await?;
    }
    let mut redis = world.redis().await?;
    until("four entries", PATIENCE, async || {
        let length: i64 = redis::cmd("XLEN")
            .arg("outbox:orders")
            .query_async(&mut redis)
            .await?;
        Ok((length == 4).then_some(()))
    })
    .await?;
    // WHEN the copy takes its place
    world.postgres()?.restore(&backup)?;
    let fault = Instant::now();
    // THEN the relay refuses, and both say why, by the word that docs/recovering.md explains
    let (body, status) = named(&world, &relay, fault, "refused", &["stalled", AHEAD]).await?;
    assert_eq!(body["standing"], "refused", "{body}");
    let cause = body["cause"].as_str().unwrap_or_default();
    assert!(cause.starts_with(AHEAD), "{body}");
    assert_eq!(status.code, 3, "{}", status.output);
    Ok(())
}

#[tokio::test]
async fn a_topic_that_is_set_aside_is_named_and_the_relay_stays_ready() -> Result {
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut relay = Relay::of(&world)
        .set("OUTBOX_PUBLISH_MAX_ENTRY_BYTES", "2 KiB")
        .start()?;
    relay.leads().await?;
    world
        .connect()
        .await?
        .execute("select outbox.append('wide', json_build_object('x', repeat('x', 5000)))")
        .await?;
    let fault = Instant::now();
    let words = ["degraded", "wide", "publish.max_entry_bytes"];
    let (body, status) = named(&world, &relay, fault, "set_aside", &words).await?;
    assert_eq!(body["ready"], true, "{body}");
    assert_eq!(status.code, 3, "{}", status.output);
    Ok(())
}

/// Takes every piece of a table away that begins above this, or all of them.
async fn drop_pieces(connection: &mut PgConnection, parent: &str, above: i64) -> Result {
    let pieces: Vec<String> = sqlx::query_scalar(
        "select name from outbox.piece where parent = $1 and coalesce(lower_bound, 0) >= $2",
    )
    .bind(parent)
    .bind(above)
    .fetch_all(&mut *connection)
    .await?;
    assert!(!pieces.is_empty(), "no pieces of {parent}");
    for piece in pieces {
        let statement =
            format!("alter table outbox.{parent} detach partition outbox.{piece}; drop table outbox.{piece}");
        connection.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_piece_that_is_missing_is_named_until_upkeep_makes_it() -> Result {
    // GIVEN a relay without upkeep, and no piece for the next event of a class, nor for batches to come
    let world = World::with_own_servers(Default::default(), Default::default()).await?;
    let mut relay = Relay::of(&world)
        .set("OUTBOX_MAINTAIN_ENABLED", "false")
        .start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    drop_pieces(&mut connection, "log_standard", 0).await?;
    drop_pieces(&mut connection, "batch", 1).await?;
    let fault = Instant::now();
    // THEN an append is refused, and both say what is missing
    let refused = append(&mut connection).await;
    assert!(refused.is_err_and(|error| format!("{error:?}").contains("no partition")));
    for table in ["outbox.log_standard", "outbox.batch"] {
        let (_, status) = named(&world, &relay, fault, "piece_missing", &["stalled", table]).await?;
        assert_eq!(status.code, 3, "{}", status.output);
    }
    // AND when a relay with upkeep leads, the pieces are there and nothing is said
    drop(relay);
    let mut relay = Relay::of(&world).start()?;
    relay.leads().await?;
    until("no cause", PATIENCE, async || {
        let status = Invocation::of(&world, &["status"])?.ask()?;
        Ok((status.code == 0).then_some(()))
    })
    .await?;
    append(&mut connection).await
}
