//! A relay that is far behind while everything else goes wrong slowly: millions of rows behind, producers at full speed, a
//! consumer that hangs, very many keys, some events as large as they may be, a snapshot that somebody holds. What memory,
//! connections and pages read per statement do meanwhile is sampled, and must stay flat.
//!
//! `cargo xtask bench bounded` runs it long and writes a page; a test runs it short.

use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};
use xtask::servers::{Postgres, Redis};

use crate::arrival::{arrived, entries_of};
use crate::{Failure, Relay, Result, Schema, Workload, World};

mod report;

mod sample;

pub use report::Report;
pub use sample::Sample;

const TOPICS: [&str; 3] = ["orders.placed", "payments.taken", "stock.moved"];
/// Rows of one transaction of the backlog.
const AT_ONCE: u64 = 200_000;
const LARGE_BYTES: i32 = 15 << 20;
const EVERY: Duration = Duration::from_millis(500);
/// The lock that the consumer's function waits for.
const HANGS_AT: i64 = 7;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Bounded {
    /// Rows behind at the start.
    pub rows: u64,
    /// Keys they are spread over.
    pub keys: u64,
    /// Events of 15 MiB among them.
    pub large: u64,
    /// At least so long, also when the backlog is gone before.
    pub at_least: Duration,
    /// And no longer.
    pub at_most: Duration,
}

impl Bounded {
    /// Runs it and says what was seen.
    ///
    /// # Errors
    /// When something does not work at all; what is not flat is the report's to say.
    pub async fn run(self) -> Result<Report> {
        let postgres = Postgres::options()
            .set("shared_preload_libraries", "pg_stat_statements")
            .set("max_wal_size", "2GB");
        let world = World::with_own_servers(postgres, Redis::options()).await?;
        let mut connection = world.connect().await?;
        connection.execute("create extension pg_stat_statements").await?;
        self.fall_behind(&mut connection).await?;
        let mut holder = world.connect().await?;
        let mut pinned = holder.begin_with("begin isolation level repeatable read").await?;
        pinned.execute("select count(*) from outbox.batch").await?;
        let shop = world.another_database(Schema::Inbox).await?;
        let mut lock = shop.connect().await?;
        hang(&mut lock).await?;
        let consumer = consumer(&world, shop.url()).start()?;
        let mut relay = Relay::of(&world).start()?;
        relay.leads().await?;
        let topics = TOPICS.map(str::to_owned).to_vec();
        let workload = Workload {
            topics: topics.clone(),
            ..Workload::default()
        };
        let producers = workload.start(world.log()).await?;
        let begun = Instant::now();
        let mut samples = Vec::new();
        loop {
            tokio::time::sleep(EVERY).await;
            let published = entries_of(&world, &topics).await?;
            samples.push(Sample::take(&mut connection, begun, published, &relay, &consumer).await?);
            let elapsed = begun.elapsed();
            if published > self.rows && elapsed > self.at_least {
                break;
            }
            if elapsed > self.at_most {
                return Err(Failure::new(format!(
                    "{published} events after {elapsed:?}: the backlog is not gone"
                )));
            }
        }
        pinned.rollback().await?;
        producers.stop().await?;
        arrived(&world, &topics, Duration::from_secs(60)).await?;
        Ok(Report::new(self, samples))
    }

    async fn fall_behind(self, connection: &mut PgConnection) -> Result {
        let mut first = 0;
        while first < self.rows {
            let count = AT_ONCE.min(self.rows - first);
            insert(connection, first, count, self.keys, 100).await?;
            first += count;
        }
        for n in 0..self.large {
            insert(connection, n, 1, self.keys, LARGE_BYTES).await?;
        }
        Ok(())
    }
}

/// Straight into the table, as its owner: what is measured begins behind it.
async fn insert(connection: &mut PgConnection, first: u64, count: u64, keys: u64, bytes: i32) -> Result {
    sqlx::query(
        "insert into outbox.log (retention, topic, key, id, source, type, data)
         select 'standard', topic, 'key-' || (n % $3), gen_random_uuid(), '/backlog', topic,
                json_build_object('number', n, 'filling', repeat('x', $4))
         from generate_series($1, $1 + $2 - 1) n, lateral (select ($5::text[])[1 + n % 3] as topic) t",
    )
    .bind(i64::try_from(first)?)
    .bind(i64::try_from(count)?)
    .bind(i64::try_from(keys)?)
    .bind(bytes)
    .bind(TOPICS.as_slice())
    .execute(connection)
    .await?;
    Ok(())
}

/// A function that waits for a lock that this connection holds.
async fn hang(connection: &mut PgConnection) -> Result {
    connection
        .execute("create schema shop authorization test_consumer")
        .await?;
    connection
        .execute("create function shop.apply(event json) returns void language sql as 'select pg_advisory_xact_lock_shared(7)'")
        .await?;
    sqlx::query("select pg_advisory_lock($1)")
        .bind(HANGS_AT)
        .execute(connection)
        .await?;
    Ok(())
}

fn consumer(world: &World, database_url: &str) -> crate::relay::RelayOptions {
    let arguments = [
        "consume",
        "--group",
        "stock",
        "--topic",
        TOPICS[0],
        "--call",
        "shop.apply",
    ];
    Relay::command(&arguments)
        .set("DATABASE_URL", database_url)
        .set("REDIS_URL", world.redis_url())
}
