//! Servers of its own, a relay, and projections at work on them.

use std::time::{Duration, Instant};

use outbox_core::event_store::projection::ProjectionRunner;
use outbox_core::event_store::subscription::Error;
use outbox_core::ops;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use xtask::servers::{Kind, Permission, Postgres, Redis, ensure};

use super::{CATEGORY, TOPIC};
use crate::Result;
use crate::backstage::{Guard, Relay, connect, create_database, migrate};

pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Longer than anything here takes on a slow machine.
pub(super) const LIMIT: Duration = Duration::from_secs(120);
/// Each projection takes some, and a rebuild as many again.
const CONNECTIONS: u32 = 24;

/// Where everything happens.
pub(super) struct Stage {
    pub(super) pool: PgPool,
    pub(super) relay: Relay,
    _guard: Guard,
    postgres: Postgres,
    redis: Redis,
}

/// A projection at work.
pub(super) struct Running {
    token: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    pub(super) fn of(runner: ProjectionRunner) -> Self {
        let token = CancellationToken::new();
        Self {
            task: tokio::spawn(runner.run(token.clone())),
            token,
        }
    }

    pub(super) async fn stop(self) -> Result {
        self.token.cancel();
        Ok(self.task.await??)
    }
}

impl Stage {
    /// Starts it, with an empty store.
    pub(super) async fn set() -> Result<Self> {
        ensure(&[Kind::Postgres, Kind::Redis], Permission::Install)?;
        let postgres = Postgres::options().start()?;
        let redis = Redis::options().durable().start()?;
        let guard = Guard::post()?;
        create_database(&postgres.url("postgres"), "store").await?;
        let url = postgres.url("store");
        migrate(&url, false).await?;
        let pool = connect(&url, "orders", CONNECTIONS).await?;
        sqlx::query("insert into outbox.route (category, type, topic) values ($1, '', $2)")
            .bind(CATEGORY)
            .bind(TOPIC)
            .execute(&pool)
            .await?;
        let relay = Relay::start(&guard, "orders", &url, &redis.url(0))?;
        Ok(Self {
            pool,
            relay,
            _guard: guard,
            postgres,
            redis,
        })
    }

    pub(super) fn redis_url(&self) -> String {
        self.redis.url(0)
    }

    /// A database for a consumer.
    pub(super) async fn consumer_database(&self, name: &str) -> Result<PgPool> {
        create_database(&self.postgres.url("postgres"), name).await?;
        let url = self.postgres.url(name);
        migrate(&url, true).await?;
        connect(&url, name, 6).await
    }

    /// Waits until a projection has tables.
    pub(super) async fn has_tables(&self, name: &str) -> Result {
        until(&format!("projection {name} has its tables"), async || {
            let count: i64 = sqlx::query_scalar("select count(*) from pg_tables where schemaname = $1")
                .bind(name)
                .fetch_one(&self.pool)
                .await?;
            Ok((count > 0).then_some(()))
        })
        .await
    }

    /// Has a projection built anew, waits until it is live, and says what was compared.
    pub(super) async fn rebuild(&self, name: &str, reason: &str, accept_differences: bool) -> Result<String> {
        let mut connection = self.pool.acquire().await?;
        ops::order_rebuild(&mut connection, name, reason, accept_differences).await?;
        until(&format!("projection {name} is built anew"), async || {
            let row = ops::projections(&mut connection, Some(name)).await?.pop();
            let row = row.ok_or("the projection is gone")?;
            let said = row["rebuild_said"].as_str().unwrap_or_default().to_owned();
            match row["rebuild_state"].as_str() {
                Some("switched") => Ok(Some(said)),
                Some("held") => Err(format!("the rebuild of {name} is held: {said}").into()),
                _ => Ok(None),
            }
        })
        .await
    }

    /// Ends it.
    pub(super) async fn strike(mut self) -> Result {
        self.relay.stop().await?;
        self.pool.close().await;
        Ok(())
    }
}

/// Looks again until there is something, within a limit.
pub(super) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(format!("waited {} s in vain until {what}", LIMIT.as_secs()).into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
