//! A server that writes to disk, a store to fill, and a table with the same columns and nothing else but its key.

use sqlx::{AssertSqlSafe, Executor as _, PgConnection, PgPool};
use system_tests::{Result, World};
use xtask::servers::{Kind, Permission, Postgres, Redis, ensure};

/// Events that one statement fills in.
const FILLED_AT_ONCE: i64 = 500_000;
/// Events of each stream that fills the store.
const EVENTS_PER_STREAM: i64 = 20;

/// The servers, and which streams were made.
pub(crate) struct Ground {
    world: World,
    pool: PgPool,
    streams: u64,
    filled: i64,
}

impl Ground {
    pub(crate) async fn prepare() -> Result<Self> {
        ensure(&[Kind::Postgres, Kind::Redis], Permission::Install)?;
        let postgres = Postgres::options()
            .fsync(true)
            .set("shared_buffers", "1GB")
            .set("max_wal_size", "8GB");
        let world = World::with_own_servers(postgres, Redis::options()).await?;
        let mut connection = world.connect().await?;
        connection
            .execute(
                "create schema bench;
                 create table bench.raw (like outbox.log_stream including defaults);
                 alter table bench.raw add primary key (stream, version);
                 create index on bench.raw (position)",
            )
            .await?;
        let pool = world.pool().await?;
        Ok(Self {
            world,
            pool,
            streams: 0,
            filled: 0,
        })
    }

    /// Puts events into the store until it has so many, and as many rows into the raw table.
    pub(crate) async fn fill(&mut self, events: i64) -> Result {
        let mut connection = self.world.connect().await?;
        while self.filled < events {
            let through = events.min(self.filled + FILLED_AT_ONCE);
            let (from, to) = (self.filled / EVENTS_PER_STREAM, through / EVENTS_PER_STREAM);
            connection.execute(AssertSqlSafe(filling(from, to))).await?;
            self.filled = through;
            eprintln!("{through} of {events} events are in the store");
        }
        connection.execute("vacuum (analyze)").await?;
        connection.execute("checkpoint").await?;
        Ok(())
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        self.world.connect().await
    }

    /// Numbers of streams that nobody used.
    pub(crate) fn new_streams(&mut self, count: u64) -> std::ops::Range<u64> {
        let first = self.streams;
        self.streams += count;
        first..self.streams
    }
}

/// The number of a stream in the raw table: one that no stream of the store has.
pub(crate) fn raw_stream(number: u64) -> Result<i64> {
    Ok(-1 - i64::try_from(number)?)
}

pub(crate) fn payload(number: usize) -> String {
    format!(r#"{{"number":{number},"filling":"{}"}}"#, "x".repeat(150))
}

/// Streams `filling-<from>` and so on with their events, and the same rows without a store.
fn filling(from: i64, to: i64) -> String {
    let columns = "retention, id, source, type, data_content_type, data, stream, version, category";
    let rows = format!(
        "select 'stream', gen_random_uuid(), '/bench', 'filling.done', 'application/json',
                json_build_object('number', v, 'filling', repeat('x', 150))::text, s.id, v, s.category
         from outbox.stream s, generate_series(1, {EVENTS_PER_STREAM}) v
         where s.name in (select 'filling-' || n from generate_series({from}, {to} - 1) n)
         order by v, s.id"
    );
    format!(
        "insert into outbox.category (name) values ('filling') on conflict do nothing;
         insert into outbox.stream (category, name)
         select c.id, 'filling-' || n from outbox.category c, generate_series({from}, {to} - 1) n where c.name = 'filling';
         insert into outbox.log ({columns}) {rows};
         insert into bench.raw ({columns}) {rows}"
    )
}
