//! What is compared: raw inserts, and a consumer in its settings.

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use outbox_core::consume::{Builder, Consumer, HandlerResult};
use outbox_core::event::Event;
use serde::Deserialize;
use sqlx::{Executor, PgConnection, PgPool};
use system_tests::patience::until;
use system_tests::{Failure, Result};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ground::Ground;
use super::raw;

const LIMIT: Duration = Duration::from_secs(300);
/// Connections of a consumer.
const POOL: u32 = 24;

/// How rows get into the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Without a consumer: rows of the same kind, one statement each.
    Raw,
    /// A handler per event.
    Each,
    /// A handler for all events of a transaction.
    Together,
}

/// One case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) way: Way,
    pub(crate) partitions: usize,
    /// Events of a transaction.
    pub(crate) batch: usize,
    /// Transactions in flight per stream; connections of raw inserts.
    pub(crate) concurrency: usize,
}

/// The effect: one row.
pub(crate) const TABLE: &str = "create table public.effect (n bigint generated always as identity, key text not null, number bigint not null)";
pub(crate) const INSERT: &str = "insert into public.effect (key, number) values ($1, $2)";
pub(crate) const INSERT_ALL: &str =
    "insert into public.effect (key, number) select * from unnest($1::text[], $2::bigint[])";

#[derive(Deserialize)]
struct Payload {
    number: i64,
}

impl Case {
    pub(crate) fn all() -> Vec<Self> {
        let batch = outbox_core::consume::DEFAULT_BATCH;
        let case = |way, partitions, batch, concurrency| Self {
            way,
            partitions,
            batch,
            concurrency,
        };
        let mut cases = vec![case(Way::Raw, 1, 1, 1)];
        cases.extend([1, 4, 8].map(|connections| case(Way::Raw, 1, batch, connections)));
        cases.push(case(Way::Each, 1, 1, 1));
        for partitions in [1, 8] {
            cases.extend([1, 4, 8].map(|concurrency| case(Way::Each, partitions, batch, concurrency)));
        }
        for partitions in [1, 8] {
            cases.push(case(Way::Together, partitions, batch, 4));
        }
        cases
    }

    /// The raw inserts that it is compared with: as many rows in a transaction, as many connections.
    pub(crate) fn measure(&self) -> Self {
        Self {
            way: Way::Raw,
            partitions: 1,
            ..*self
        }
    }

    /// Runs it once and returns how many seconds it took from its start to its last commit.
    pub(crate) async fn run(&self, ground: &Ground) -> Result<f64> {
        let database = ground.database().await?;
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(POOL)
            .min_connections(POOL)
            .connect(database.url())
            .await?;
        pool.execute(TABLE).await?;
        let begun = Instant::now();
        if self.way == Way::Raw {
            raw::insert(&pool, ground.events(), self.batch, self.concurrency).await?;
        } else {
            self.consume(ground, &pool).await?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let effects: i64 = sqlx::query_scalar("select count(distinct number) from public.effect")
            .fetch_one(&pool)
            .await?;
        if usize::try_from(effects)? != ground.events() {
            return Err(Failure::new(format!(
                "{self}: {effects} effects of {}",
                ground.events()
            )));
        }
        pool.close().await;
        Ok(seconds)
    }

    async fn consume(&self, ground: &Ground, pool: &PgPool) -> Result {
        let topic = Ground::topic(self.partitions);
        let builder = Consumer::builder(Uuid::now_v7().simple().to_string())
            .database(pool.clone())
            .redis(ground.redis_url())
            .discovery(None)
            .batch(self.batch)
            .concurrency(self.concurrency);
        let builder: Builder = match self.way {
            Way::Together => builder.on_batch(topic, note_all),
            _ => builder.on(topic, note),
        };
        let token = CancellationToken::new();
        let task = tokio::spawn(builder.build()?.run(token.clone()));
        until("everything is applied", LIMIT, async || {
            // The sequence tells cheaply when it is worth counting: a transaction that is repeated draws again.
            let drawn: i64 = sqlx::query_scalar("select last_value from public.effect_n_seq")
                .fetch_one(pool)
                .await?;
            if usize::try_from(drawn)? < ground.events() {
                return Ok(None);
            }
            let count: i64 = sqlx::query_scalar("select count(*) from public.effect")
                .fetch_one(pool)
                .await?;
            Ok((usize::try_from(count)? >= ground.events()).then_some(()))
        })
        .await?;
        token.cancel();
        Ok(task.await??)
    }
}

/// A row for an event.
pub(crate) fn note<'a>(transaction: &'a mut PgConnection, event: &'a Event) -> BoxFuture<'a, HandlerResult> {
    Box::pin(async move {
        let payload: Payload = event.json()?;
        sqlx::query(INSERT)
            .bind(&event.key)
            .bind(payload.number)
            .execute(transaction)
            .await?;
        Ok(())
    })
}

/// A row for each of them, by one statement.
pub(crate) fn note_all<'a>(
    transaction: &'a mut PgConnection,
    events: &'a [Event],
) -> BoxFuture<'a, HandlerResult> {
    Box::pin(async move {
        let mut keys = Vec::new();
        let mut numbers = Vec::new();
        for event in events {
            keys.push(event.key.clone());
            numbers.push(event.json::<Payload>()?.number);
        }
        sqlx::query(INSERT_ALL)
            .bind(keys)
            .bind(numbers)
            .execute(transaction)
            .await?;
        Ok(())
    })
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            way,
            partitions,
            batch,
            concurrency,
        } = self;
        let way = match way {
            Way::Raw => "raw inserts",
            Way::Each => "a handler per event",
            Way::Together => "`on_batch`",
        };
        write!(
            f,
            "{way}, partitions: {partitions}, events per transaction: {batch}, transactions at a time: {concurrency}"
        )
    }
}
