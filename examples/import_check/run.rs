//! The check, from empty servers to its report.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use xtask::servers::{Kind, Permission, Postgres, Redis, ensure};

use super::expected::{self, Entry, ORDERS, WEBHOOKS};
use super::{importer, pg, redis};
use crate::Result;
use crate::backstage::{Guard, Relay, connect, create_database, migrate};

const LOOK_AGAIN: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_secs(60);

/// Runs it and says what was compared.
///
/// # Errors
/// With the first difference, or what did not work.
pub async fn run(data: &Path) -> Result<String> {
    let (orders_file, webhooks_file) = (
        data.join("olist-orders.csv"),
        data.join("github-webhooks.ndjson.gz"),
    );
    let (orders, order_count) = expected::orders(&orders_file)?;
    let webhooks = expected::webhooks(&webhooks_file)?;
    ensure(&[Kind::Postgres, Kind::Redis], Permission::Install)?;
    let postgres = Postgres::options().start()?;
    let redis_server = Redis::options().durable().start()?;
    let guard = Guard::post()?;
    create_database(&postgres.url("postgres"), "import").await?;
    let url = postgres.url("import");
    migrate(&url, false).await?;
    let mut relay = Relay::start(&guard, "import", &url, &redis_server.url(0))?;
    let pool = connect(&url, "import-check", 2).await?;

    let killed_at = kill_in_the_middle(&pool, &url, &orders_file, order_count).await?;
    importer::import(&url, &orders_file, "orders", ORDERS).await?;
    importer::import(&url, &webhooks_file, "webhooks", WEBHOOKS).await?;
    let events = pg::events(&pool).await?;
    importer::import(&url, &orders_file, "orders", ORDERS).await?;
    importer::import(&url, &webhooks_file, "webhooks", WEBHOOKS).await?;
    let again = pg::events(&pool).await?;
    if again != events || events != (orders.len() + webhooks.len()) as u64 {
        return Err(format!(
            "the files have {} + {} events, the log has {events}, and {again} after importing again",
            orders.len(),
            webhooks.len()
        )
        .into());
    }
    let compared = async {
        compare(&redis_server.url(0), "orders", &orders).await?;
        compare(&redis_server.url(0), "webhooks", &webhooks).await
    };
    let compared = compared.await;
    compared.map_err(|error| format!("{error}; end of the relay's log:\n{}", relay.log_tail()))?;
    relay.stop().await?;
    pool.close().await;
    Ok(format!(
        "import-check: {order_count} orders as {} events and {} webhooks, through the relay: types, keys, order and payloads \
         on the streams are those of the files, byte for byte. Killed at record {killed_at} and run again: nothing lost or \
         doubled; run once more: nothing added.",
        orders.len(),
        webhooks.len()
    ))
}

/// Kills an import that is at work and returns how far it was.
async fn kill_in_the_middle(pool: &PgPool, url: &str, file: &Path, order_count: u64) -> Result<u64> {
    let mut bytes = std::fs::read(file)?;
    // The last quarter is kept back, so that it cannot be done before it is killed.
    bytes.truncate(bytes.len() * 3 / 4);
    let mut child = importer::begin(url, bytes, "orders", ORDERS)?;
    let deadline = Instant::now() + LIMIT;
    while pg::records(pool, "orders").await? < order_count / 4 {
        if let Some(status) = child.try_wait()? {
            return Err(format!("the import ended with {status} before it could be killed").into());
        }
        if Instant::now() > deadline {
            return Err("the import did not come to a quarter of its records in time".into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    child.kill().await?;
    let records = pg::records(pool, "orders").await?;
    if records == 0 || records >= order_count {
        return Err(
            format!("killed at record {records} of {order_count}, which is not in the middle").into(),
        );
    }
    Ok(records)
}

/// Waits until as many entries are on the stream, and compares each.
async fn compare(url: &str, topic: &str, expected: &[Entry]) -> Result {
    let mut connection = ::redis::Client::open(url)?
        .get_multiplexed_async_connection()
        .await?;
    let deadline = Instant::now() + LIMIT;
    while redis::length(&mut connection, topic).await? < expected.len() as u64 && Instant::now() < deadline {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let entries = redis::entries(&mut connection, topic).await?;
    if let Some(place) = entries.iter().zip(expected).position(|(is, wanted)| is != wanted) {
        let (is, wanted) = (&entries[place], &expected[place]);
        return Err(
            format!("{topic}: entry {place} differs: wanted {wanted:?}, the stream has {is:?}").into(),
        );
    }
    if entries.len() != expected.len() {
        return Err(format!(
            "{topic}: {} entries wanted, the stream has {}",
            expected.len(),
            entries.len()
        )
        .into());
    }
    Ok(())
}
