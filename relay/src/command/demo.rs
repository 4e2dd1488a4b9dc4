//! `outbox-relay demo`: the whole path once, on the servers that are configured, in a database and under a prefix of its own.
//!
//! Makes a database, migrates it, relays and consumes in this process, takes orders of which some are rolled back and some
//! commit late, and compares orders, events, entries and effects. Leaves nothing behind, unless told to keep it.
//! For the show with kills and restarts see `cargo xtask demo` in the source.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use outbox_core::consume::Consumer;
use outbox_core::standing::Standing;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::compose;
use crate::config::Config;
use crate::connect::{self, Role};
use crate::exit::{Exit, Failure};
use crate::output::{Output, table};

/// How long the last effect may take after the last commit.
const PATIENCE: Duration = Duration::from_secs(30);
/// Orders take their number from here and are rolled back or held at these intervals.
const ROLLED_BACK_EVERY: u32 = 10;
const HELD_EVERY: u32 = 25;

/// The shop: orders on one side, what a consumer made of them on the other.
const SHOP: &str = "create schema demo; \
    create table demo.customer_order (id int primary key, total int not null); \
    create table demo.effect (order_id int not null, seen_at timestamptz not null default clock_timestamp()); \
    create function demo.apply(event json) returns void language sql as \
    $$ insert into demo.effect (order_id) values ((event #>> '{data,order}')::int) $$";

/// How much, and what stays.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How many orders to take
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    orders: u32,
    /// Keep the database and the streams, and print where they are
    #[arg(long)]
    keep: bool,
}

/// What came of it.
#[derive(Debug, serde::Serialize)]
struct Audit {
    orders: i64,
    rolled_back: u32,
    events: i64,
    entries: i64,
    effects: i64,
    effects_doubled: i64,
    first_effect_ms: u128,
    all_effects_ms: u128,
}

impl Audit {
    fn passed(&self) -> bool {
        let Self {
            orders,
            events,
            entries,
            effects,
            effects_doubled,
            ..
        } = self;
        *orders > 0 && orders == events && events == entries && entries == effects && *effects_doubled == 0
    }
}

/// Runs the demo.
///
/// # Errors
/// A server cannot be reached, refuses (the login must be allowed to create a database), or the path did not deliver in time.
pub async fn run(
    config: &Config,
    arguments: &Arguments,
    output: Output,
    stop: CancellationToken,
) -> Result<Exit, Failure> {
    let name = format!("outbox_demo_{:08x}", rand::random::<u32>());
    let administration = connect::pool(config, Role::Command)?;
    sqlx::raw_sql(AssertSqlSafe(format!("create database {name}")))
        .execute(&administration)
        .await?;
    let own = own_config(config, &name);
    let ended = show(&own, arguments, stop).await;
    if arguments.keep {
        eprintln!("kept: database {name}, Redis keys {}*", own.redis.prefix);
    } else {
        sqlx::raw_sql(AssertSqlSafe(format!("drop database {name} with (force)")))
            .execute(&administration)
            .await?;
        forget_keys(&own).await?;
    }
    let audit = ended?;
    output.write(&json!({ "passed": audit.passed(), "audit": audit }), |_| {
        text(&audit)
    })?;
    Ok(if audit.passed() {
        Exit::Success
    } else {
        Exit::Degraded
    })
}

/// The same servers, a database and a prefix of its own.
fn own_config(config: &Config, name: &str) -> Config {
    let mut own = config.clone();
    own.postgres.url = config
        .postgres
        .url
        .as_ref()
        .map(|url| SecretString::from(with_database(url.expose_secret(), name)));
    own.redis.prefix = format!("{name}:");
    own
}

/// Puts another database into a Postgres URL.
fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url
        .split_once('?')
        .map_or((url, None), |(address, query)| (address, Some(query)));
    let (scheme, rest) = address.split_once("://").unwrap_or(("postgres", address));
    let authority = rest.split('/').next().unwrap_or(rest);
    let mut own = format!("{scheme}://{authority}/{name}");
    if let Some(query) = query {
        let _ = write!(own, "?{query}");
    }
    own
}

async fn show(config: &Config, arguments: &Arguments, token: CancellationToken) -> Result<Audit, Failure> {
    // Not one of commands, which are of one connection: a late commit needs its own.
    let pool = connect::pool(config, Role::Consume)?;
    migrate(&pool).await?;
    // Whatever fails, relay and consumer end before the database is dropped.
    let _stop_all = token.clone().drop_guard();
    let (standing, mut shown) = watch::channel(Standing::Starting);
    let relaying = tokio::spawn(compose::relay(Arc::new(config.clone()), standing, token.clone()));
    let leading = async {
        shown
            .wait_for(|standing| *standing == Standing::Leading)
            .await
            .is_ok()
    };
    let leading = tokio::time::timeout(PATIENCE, leading).await.unwrap_or(false);
    if !leading {
        let cause = shown.borrow().cause().unwrap_or("no lease").to_owned();
        return Err(Failure::error(format!(
            "the relay does not lead after {PATIENCE:?}: {cause}"
        )));
    }
    let consumer = Consumer::builder("demo")
        .database(connect::pool(config, Role::Consume)?)
        .redis_client(connect::redis(config)?)
        .prefix(&config.redis.prefix)
        .call("demo.order.placed", "demo.apply")
        .build()
        .map_err(|error| Failure::error(format!("{error}; {}", error.advice())))?;
    let stop = token.child_token();
    let consuming = tokio::spawn(consumer.run(stop.clone()));
    let began = Instant::now();
    let rolled_back = take_orders(&pool, arguments.orders, &token).await?;
    let (first_effect_ms, all_effects_ms) = await_effects(&pool, began, &token).await?;
    stop.cancel();
    if let Ok(Err(error)) = consuming.await {
        tracing::warn!(%error, advice = error.advice(), "the consumer of the demo failed");
    }
    token.cancel();
    if let Ok(Err(error)) = relaying.await {
        tracing::warn!(%error, "the relay of the demo failed");
    }
    let mut audit = audit(&pool, config).await?;
    audit.rolled_back = rolled_back;
    (audit.first_effect_ms, audit.all_effects_ms) = (first_effect_ms, all_effects_ms);
    pool.close().await;
    Ok(audit)
}

async fn migrate(pool: &PgPool) -> Result<(), Failure> {
    let mut connection = pool.acquire().await?;
    let refused = |error: outbox_migrations::Error| Failure::error(format!("{error}; {}", error.advice()));
    outbox_migrations::migrate_log(&mut connection)
        .await
        .map_err(refused)?;
    outbox_migrations::migrate_inbox(&mut connection)
        .await
        .map_err(refused)?;
    sqlx::raw_sql(SHOP).execute(&mut *connection).await?;
    Ok(())
}

/// Takes orders; some are rolled back, some commit after the next ones. Returns how many were rolled back.
async fn take_orders(pool: &PgPool, orders: u32, token: &CancellationToken) -> Result<u32, Failure> {
    let mut held = None;
    let mut rolled_back = 0;
    for number in 1..=orders {
        if token.is_cancelled() {
            break;
        }
        if number % HELD_EVERY == 0 && held.is_none() {
            let mut transaction = pool.begin().await?;
            place(&mut transaction, number).await?;
            held = Some(transaction);
            continue;
        }
        let mut transaction = pool.begin().await?;
        place(&mut transaction, number).await?;
        if number % ROLLED_BACK_EVERY == 0 {
            transaction.rollback().await?;
            rolled_back += 1;
        } else {
            transaction.commit().await?;
        }
        // An earlier position commits after later ones: what a cursor on positions would lose.
        if number % HELD_EVERY == 5
            && let Some(transaction) = held.take()
        {
            transaction.commit().await?;
        }
    }
    if let Some(transaction) = held {
        transaction.commit().await?;
    }
    Ok(rolled_back)
}

async fn place(connection: &mut PgConnection, number: u32) -> Result<(), Failure> {
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    sqlx::query("insert into demo.customer_order values ($1, $1 * 10)")
        .bind(number)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "select outbox.append('demo.order.placed', json_build_object('order', $1::int), key => $1::text)",
    )
    .bind(number)
    .execute(connection)
    .await?;
    Ok(())
}

/// Waits until every order has an effect; says how it goes. Times since the first order.
async fn await_effects(
    pool: &PgPool,
    began: Instant,
    token: &CancellationToken,
) -> Result<(u128, u128), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (orders, effects): (i64, i64) = sqlx::query_as(
            "select (select count(*) from demo.customer_order), (select count(*) from demo.effect)",
        )
        .fetch_one(pool)
        .await?;
        eprint!("\r{effects} of {orders} orders took effect ");
        if effects >= orders || token.is_cancelled() || Instant::now() > deadline {
            eprintln!();
            let first: Option<i64> = sqlx::query_scalar(
                "select (extract(epoch from min(e.seen_at) - min(l.recorded_at)) * 1000)::bigint from demo.effect e, outbox.log l",
            )
            .fetch_one(pool)
            .await?;
            return Ok((
                u128::from(first.unwrap_or(0).unsigned_abs()),
                began.elapsed().as_millis(),
            ));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn audit(pool: &PgPool, config: &Config) -> Result<Audit, Failure> {
    let (orders, events, effects, distinct): (i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from demo.customer_order), (select count(*) from outbox.log), \
         (select count(*) from demo.effect), (select count(distinct order_id) from demo.effect)",
    )
    .fetch_one(pool)
    .await?;
    let mut redis = connect::redis_connection(config).await?;
    let entries = redis::cmd("XLEN")
        .arg(format!("{}demo.order.placed", config.redis.prefix))
        .query_async(&mut redis)
        .await
        .map_err(|error| Failure::error(format!("Redis: {error}")))?;
    let effects_doubled = effects - distinct;
    Ok(Audit {
        orders,
        rolled_back: 0,
        events,
        entries,
        effects,
        effects_doubled,
        first_effect_ms: 0,
        all_effects_ms: 0,
    })
}

async fn forget_keys(config: &Config) -> Result<(), Failure> {
    let mut redis = connect::redis_connection(config).await?;
    let keys: [String; 2] =
        ["demo.order.placed", "@mark:demo.order.placed"].map(|key| format!("{}{key}", config.redis.prefix));
    redis::cmd("DEL")
        .arg(&keys[..])
        .query_async::<()>(&mut redis)
        .await
        .map_err(|error| Failure::error(format!("Redis: {error}")))
}

fn text(audit: &Audit) -> String {
    let row = |what: &str, count: &dyn std::fmt::Display| vec![what.to_owned(), count.to_string()];
    let rows = [
        row("orders committed", &audit.orders),
        row("orders rolled back", &audit.rolled_back),
        row("events in the log", &audit.events),
        row("entries on the stream", &audit.entries),
        row("effects", &audit.effects),
        row("effects doubled", &audit.effects_doubled),
        row("first effect after ms", &audit.first_effect_ms),
        row("last effect after ms", &audit.all_effects_ms),
        row("result", &if audit.passed() { "passed" } else { "FAILED" }),
    ];
    table(&["WHAT", "COUNT"], &rows)
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn another_database_keeps_login_host_and_parameters() {
        assert_eq!(
            with_database("postgres://u:p@h:5/db?sslmode=require", "d"),
            "postgres://u:p@h:5/d?sslmode=require"
        );
        assert_eq!(with_database("postgresql://h", "d"), "postgresql://h/d");
    }
}
