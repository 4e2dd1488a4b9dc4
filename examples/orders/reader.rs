//! A service that begins to consume the orders today, and writes down each event that it is handed.

use outbox_core::consume::{BoxFuture, Consumer, Error, HandlerResult, PgConnection};
use outbox_core::event::Event;
use redis::aio::MultiplexedConnection;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::TOPIC;
use super::stage::{Stage, until};
use crate::Result;

/// The stream of the topic.
const STREAM: &str = "outbox:orders";

/// A consumer at work, in a database of its own.
pub(super) struct Reader {
    pool: PgPool,
    token: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Reader {
    pub(super) async fn start(stage: &Stage, group: &str) -> Result<Self> {
        let pool = stage.consumer_database(group).await?;
        // No unique key: what came twice is to be seen.
        sqlx::raw_sql("create table public.handed (event_id uuid not null, order_id text not null, n bigint generated always as identity)")
            .execute(&pool)
            .await?;
        let consumer = Consumer::builder(group)
            .database(pool.clone())
            .redis(stage.redis_url())
            .on(TOPIC, hand)
            .build()?;
        let token = CancellationToken::new();
        let task = tokio::spawn(consumer.run(token.clone()));
        Ok(Self { pool, token, task })
    }

    /// How many events it was handed, and how many different ones.
    pub(super) async fn handed(&self) -> Result<(u64, u64)> {
        let (all, different): (i64, i64) =
            sqlx::query_as("select count(*), count(distinct event_id) from public.handed")
                .fetch_one(&self.pool)
                .await?;
        Ok((all.unsigned_abs(), different.unsigned_abs()))
    }

    /// Waits until it was handed so many.
    pub(super) async fn has(&self, events: u64) -> Result {
        until("a new consumer has all events", async || {
            Ok((self.handed().await?.1 >= events).then_some(()))
        })
        .await
    }

    pub(super) async fn stop(self) -> Result {
        self.token.cancel();
        self.task.await??;
        self.pool.close().await;
        Ok(())
    }
}

fn hand<'a>(transaction: &'a mut PgConnection, event: &'a Event) -> BoxFuture<'a, HandlerResult> {
    Box::pin(async move {
        let id: Uuid = event.id.parse()?;
        sqlx::query("insert into public.handed (event_id, order_id) values ($1, $2)")
            .bind(id)
            .bind(&event.key)
            .execute(transaction)
            .await?;
        Ok(())
    })
}

/// The stream, as Redis has it.
pub(super) struct OrdersStream(MultiplexedConnection);

impl OrdersStream {
    pub(super) async fn of(stage: &Stage) -> Result<Self> {
        let client = redis::Client::open(stage.redis_url())?;
        Ok(Self(client.get_multiplexed_async_connection().await?))
    }

    /// Waits until it has so many entries.
    pub(super) async fn has(&mut self, entries: u64) -> Result {
        until("the stream has every event", async || {
            let length: u64 = redis::cmd("XLEN").arg(STREAM).query_async(&mut self.0).await?;
            Ok((length >= entries).then_some(()))
        })
        .await
    }

    /// Deletes it.
    pub(super) async fn lose(&mut self) -> Result {
        Ok(redis::cmd("DEL").arg(STREAM).query_async(&mut self.0).await?)
    }
}
