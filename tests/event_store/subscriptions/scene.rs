//! A log with a table that handlers write to, and subscriptions at work.

use std::sync::Arc;
use std::time::Duration;

use outbox_core::append::NewEvent;
use outbox_core::event_store::subscription::{
    BoxFuture, Error, EventHandler, HandlerResult, Retry, Runner, Subscription,
};
use outbox_core::event_store::{self, Expected, StoredEvent, StreamName};
use sqlx::{Executor as _, PgConnection, PgPool};
use system_tests::login::Login;
use system_tests::patience::until;
use system_tests::{Result, World};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A log, and what was applied.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) pool: PgPool,
}

impl Scene {
    pub(crate) async fn new() -> Result<Self> {
        let world = World::new().await?;
        let mut connection = world.connect().await?;
        connection
            .execute("create table public.applied (n bigint generated always as identity, stream text, version bigint, type text)")
            .await?;
        let pool = world.log().pool_of(Login::Service).await?;
        Ok(Self { world, pool })
    }

    /// Appends events of these types to a stream, in a transaction of their own.
    pub(crate) async fn append(&self, stream: &str, types: &[&str]) -> Result {
        let mut transaction = self.pool.begin().await?;
        append(&mut transaction, stream, types).await?;
        Ok(transaction.commit().await?)
    }

    /// What was applied, in order.
    pub(crate) async fn applied(&self) -> Result<Vec<(String, i64)>> {
        Ok(
            sqlx::query_as("select stream, version from public.applied order by n")
                .fetch_all(&self.pool)
                .await?,
        )
    }

    /// Waits until so many were applied, and gives them.
    pub(crate) async fn has_applied(&self, count: usize) -> Result<Vec<(String, i64)>> {
        until(&format!("{count} applied"), PATIENCE, async || {
            let applied = self.applied().await?;
            Ok((applied.len() >= count).then_some(applied))
        })
        .await
    }

    pub(crate) fn start(&self, subscription: Subscription, handler: impl EventHandler) -> Running {
        start(self.pool.clone(), subscription, handler)
    }

    /// As the superuser.
    pub(crate) async fn administer(&self, statement: &'static str) -> Result<u64> {
        let mut connection = self.world.connect().await?;
        Ok(connection.execute(statement).await?.rows_affected())
    }

    pub(crate) async fn count(&self, statement: &'static str) -> Result<i64> {
        let mut connection = self.world.connect().await?;
        Ok(sqlx::query_scalar(statement).fetch_one(&mut connection).await?)
    }
}

/// A subscription at work.
pub(crate) struct Running {
    token: CancellationToken,
    task: JoinHandle<std::result::Result<(), Error>>,
}

impl Running {
    /// Has it end, and give back what it holds.
    pub(crate) async fn stop(self) -> Result {
        self.token.cancel();
        Ok(self.task.await??)
    }

    /// Ends it where it is: what it holds stays its own until the lease is over.
    pub(crate) fn kill(self) {
        self.task.abort();
    }

    /// What it ended with by itself.
    pub(crate) async fn ended(self) -> Result<Error> {
        let outcome = tokio::time::timeout(PATIENCE, self.task).await??;
        Ok(outcome.expect_err("it ended by itself"))
    }
}

pub(crate) fn start(pool: PgPool, subscription: Subscription, handler: impl EventHandler) -> Running {
    let token = CancellationToken::new();
    let task = tokio::spawn(Runner::new(pool, subscription, handler).run(token.clone()));
    Running { token, task }
}

/// A subscription that does not wait for long.
pub(crate) fn quick(name: &str) -> Subscription {
    Subscription::new(name)
        .lease(Duration::from_secs(2))
        .poll(Duration::from_millis(50))
        .retry(Retry {
            attempts: 2,
            pause_min: Duration::from_millis(20),
            pause_max: Duration::from_millis(50),
        })
}

pub(crate) async fn append(connection: &mut PgConnection, stream: &str, types: &[&str]) -> Result {
    let name: StreamName = stream.parse()?;
    let events = types.iter().map(|name| NewEvent::stored(*name)).collect();
    let outcome = event_store::append(connection, &name, Expected::Any, events).await?;
    assert!(
        matches!(outcome, event_store::Outcome::Appended { .. }),
        "{outcome:?}"
    );
    Ok(())
}

type Hook =
    dyn for<'a> Fn(&'a mut PgConnection, &'a StoredEvent) -> BoxFuture<'a, HandlerResult> + Send + Sync;

/// Writes down what it is handed, and does something more.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Hook>);

impl Recorder {
    pub(crate) fn plain() -> Self {
        Self::and(|_, _| Box::pin(async { Ok(()) }))
    }

    pub(crate) fn and<F>(hook: F) -> Self
    where
        F: for<'a> Fn(&'a mut PgConnection, &'a StoredEvent) -> BoxFuture<'a, HandlerResult>
            + Send
            + Sync
            + 'static,
    {
        Self(Arc::new(hook))
    }
}

impl EventHandler for Recorder {
    fn handle<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        event: &'a StoredEvent,
    ) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            sqlx::query("insert into public.applied (stream, version, type) values ($1, $2, $3)")
                .bind(event.stream.as_str())
                .bind(i64::try_from(event.version)?)
                .bind(&event.event.r#type)
                .execute(&mut *transaction)
                .await?;
            (self.0)(transaction, event).await
        })
    }
}
