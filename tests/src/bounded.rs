//! A relay that is far behind while everything else goes wrong slowly: millions of rows behind with some events as large as they
//! may be among them, producers at full speed, a consumer that hangs, very many keys, a snapshot that somebody holds. What memory,
//! connections, statements and pages read per statement do meanwhile is sampled, and must stay flat.
//!
//! What is compared are times at which *every* stream was behind: before the snapshot was held, and while it was. What comes when
//! nothing is left of the backlog is a time of its own. A run that was behind too shortly shows nothing, and fails.
//!
//! `cargo xtask bench bounded` runs it long and writes a page; a test runs it short.

use std::time::{Duration, Instant};

use sqlx::{Executor, PgConnection};
use xtask::servers::{Postgres, Redis};

use crate::arrival::{arrived, entries_of};
use crate::relay::RelayOptions;
use crate::{Failure, Relay, Result, Schema, World};

use report::ENOUGH_SAMPLES;
use writers::Writers;

mod backlog;

mod picture;

mod report;

mod sample;

mod writers;

pub use report::Report;
pub use sample::{Phase, Sample};

const TOPICS: [&str; 3] = ["orders.placed", "payments.taken", "stock.moved"];
/// The whole payload of a large event: as large as the log takes.
pub const LARGE_BYTES: usize = 16 << 20;
/// Of the backlog published: memory comes, plans are made, caches fill until then.
const WARM: f64 = 0.1;
/// From here on the snapshot is held.
const PIN: f64 = 0.3;
/// The lock that the consumer's function waits for.
const HANGS_AT: i64 = 7;
/// What producers committed beside it comes after it, and is as much as they were faster than the relay.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(240);

/// What a later time may have on top of what an earlier one had, and a part of that, before it counts as growing.
#[derive(Clone, Copy, Debug)]
pub struct Slack {
    /// Bytes of memory of a process.
    pub memory: usize,
    /// Statements at work.
    pub statements: usize,
    /// Connections to Postgres.
    pub connections: usize,
}

impl Slack {
    /// For a run whose times are long enough for what happens by chance to be lost in their means.
    pub const NARROW: Self = Self {
        memory: 24 << 20,
        statements: 2,
        connections: 2,
    };
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Bounded {
    /// Rows behind at the start.
    pub rows: u64,
    /// Keys they are spread over.
    pub keys: u64,
    /// Events of 16 MiB among them, from the first rows on.
    pub large: u64,
    /// How often a sample is taken.
    pub every: Duration,
    /// So long the snapshot is held at least, also when the backlog is gone before.
    pub pinned: Duration,
    /// So long it goes on at least when the backlog is gone.
    pub steady: Duration,
    /// And no longer, all of it.
    pub at_most: Duration,
    /// What is not yet growing.
    pub slack: Slack,
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
        let begun = Instant::now();
        backlog::append(&world, self).await?;
        eprintln!("{} rows behind after {:.0?}", self.rows, begun.elapsed());
        let shop = world.another_database(Schema::Inbox).await?;
        let mut lock = shop.connect().await?;
        hang(&mut lock).await?;
        let consumer = consumer(&world, shop.url()).start()?;
        // With the lease that it has by itself, and no shorter one for the sake of a test.
        let mut relay = Relay::command(&["run"])
            .set("DATABASE_URL", world.database_url())
            .set("REDIS_URL", world.redis_url())
            .start()?;
        relay.leads().await?;
        let writers = Writers::start(&world, self.keys).await?;
        let watched = self.watch(&world, &mut connection, &relay, &consumer).await;
        let written = writers.stop().await?;
        let samples = watched?;
        let topics = TOPICS.map(str::to_owned);
        arrived(&world, &topics, ARRIVAL_LIMIT).await?;
        Ok(Report::new(self, written, samples))
    }

    /// Samples from the first parcel to the end of the steady time, with the snapshot held from the middle of the backlog on.
    async fn watch(
        self,
        world: &World,
        connection: &mut PgConnection,
        relay: &Relay,
        consumer: &Relay,
    ) -> Result<Vec<Sample>> {
        let begun = Instant::now();
        let mut holder = world.connect().await?;
        let (mut pinned, mut steady) = (None::<Instant>, None::<Instant>);
        let mut samples = Vec::new();
        loop {
            tokio::time::sleep(self.every).await;
            let (phase, published) = self.phase(world).await?;
            if phase >= Phase::Pinned && pinned.is_none() {
                holder
                    .execute("begin isolation level repeatable read; select count(*) from outbox.batch")
                    .await?;
                pinned = Some(Instant::now());
            }
            if phase == Phase::Steady && steady.is_none() {
                steady = Some(Instant::now());
            }
            samples.push(Sample::take(connection, begun, phase, published, relay, consumer).await?);
            let since =
                |instant: Option<Instant>| instant.map_or(Duration::ZERO, |instant| instant.elapsed());
            // A machine that is busy takes few samples in that time: then it is longer.
            let calm = samples.iter().filter(|sample| sample.phase == Phase::Steady);
            if since(steady) >= self.steady
                && since(pinned) >= self.pinned
                && calm.count() >= 2 * ENOUGH_SAMPLES
            {
                break;
            }
            if begun.elapsed() > self.at_most {
                return Err(Failure::new(format!(
                    "{published} events after {:.0?}, {phase:?}: that is not its end",
                    begun.elapsed()
                )));
            }
        }
        holder.execute("rollback").await?;
        Ok(samples)
    }

    /// Where it is, and how many events are on their streams.
    async fn phase(self, world: &World) -> Result<(Phase, u64)> {
        let mut published = Vec::new();
        for topic in TOPICS {
            published.push(entries_of(world, &[topic.to_owned()]).await?);
        }
        Ok((
            Phase::of(&published, self.rows / TOPICS.len() as u64),
            published.iter().sum(),
        ))
    }
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

fn consumer(world: &World, database_url: &str) -> RelayOptions {
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
