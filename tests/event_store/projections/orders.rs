//! A projection over several streams: how many events of each type, and where each order stands.

use std::sync::Arc;
use std::time::Duration;

use outbox_core::event_store::StoredEvent;
use outbox_core::event_store::projection::{Projection, ProjectionRunner};
use outbox_core::event_store::subscription::{BoxFuture, Error, HandlerResult, Subscription};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, PgPool};
use system_tests::Result;
use system_tests::login::Login;
use system_tests::patience::until;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::subscriptions::scene::{PATIENCE, Scene};

pub(crate) const NAME: &str = "order_totals";

/// Counts types, and keeps the last version of each stream. With a gate, each event needs a permit.
#[derive(Clone, Default)]
pub(crate) struct Totals {
    pub(crate) gate: Option<Arc<Semaphore>>,
}

impl Projection for Totals {
    fn create(&self) -> Vec<String> {
        vec![
            "create table totals (type text primary key, events bigint not null)".to_owned(),
            "create table stands (stream text primary key, version bigint not null)".to_owned(),
        ]
    }

    fn apply<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        event: &'a StoredEvent,
    ) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            if let Some(gate) = &self.gate {
                gate.acquire().await?.forget();
            }
            sqlx::query(
                "insert into totals as t values ($1, 1) on conflict (type) do update set events = t.events + 1",
            )
            .bind(&event.event.r#type)
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "insert into stands values ($1, $2) on conflict (stream) do update set version = excluded.version",
            )
            .bind(event.stream.as_str())
            .bind(i64::try_from(event.version)?)
            .execute(transaction)
            .await?;
            Ok(())
        })
    }
}

/// A projection at work.
pub(crate) struct Running {
    token: CancellationToken,
    task: JoinHandle<std::result::Result<(), Error>>,
}

impl Running {
    pub(crate) fn of(runner: ProjectionRunner) -> Self {
        let token = CancellationToken::new();
        let task = tokio::spawn(runner.run(token.clone()));
        Self { token, task }
    }

    pub(crate) async fn stop(self) -> Result {
        self.token.cancel();
        Ok(self.task.await??)
    }

    /// Ends it where it is.
    pub(crate) async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

/// Who may make schemas here.
pub(crate) async fn scene() -> Result<Scene> {
    let scene = Scene::new().await?;
    let mut connection = scene.world.connect().await?;
    let grant = format!(
        "grant create on database {} to {}",
        scene.world.log().name(),
        Login::Service.name()
    );
    connection.execute(AssertSqlSafe(grant)).await?;
    Ok(scene)
}

pub(crate) fn quick() -> Subscription {
    crate::subscriptions::scene::quick(NAME)
        .partitions(2)
        .lease(Duration::from_secs(2))
}

pub(crate) fn asynchronous(pool: &PgPool, projection: Totals) -> Running {
    Running::of(ProjectionRunner::asynchronous(pool.clone(), quick(), projection))
}

/// Orders a rebuild, as a person does.
pub(crate) async fn order(scene: &Scene) -> Result {
    operate(
        scene,
        "select outbox.order_rebuild('order_totals', 'the code was mended')",
    )
    .await
}

pub(crate) async fn operate(scene: &Scene, statement: &'static str) -> Result {
    let pool = scene.world.log().pool_of(Login::Operator).await?;
    pool.acquire().await?.execute(statement).await?;
    Ok(())
}

/// Waits until the newest rebuild is in this state, and gives what is said of it.
pub(crate) async fn rebuild_is(scene: &Scene, state: &str) -> Result<String> {
    let pool = scene.world.log().pool_of(Login::Observer).await?;
    let seen = until(&format!("the rebuild is {state}"), PATIENCE, async || {
        let (is, said): (Option<String>, Option<String>) =
            sqlx::query_as("select rebuild_state, rebuild_said from outbox_ops.projections")
                .fetch_one(&pool)
                .await?;
        if state == "switched"
            && is.as_deref() == Some("held")
            && said.as_deref().is_some_and(|said| !said.is_empty())
        {
            return Err(system_tests::Failure::new(format!(
                "held: {}",
                said.unwrap_or_default()
            )));
        }
        Ok((is.as_deref() == Some(state)).then_some(said))
    })
    .await?;
    Ok(seen.unwrap_or_default())
}

/// Whether the tables are what an independent count over the store gives.
pub(crate) async fn is_right(scene: &Scene) -> Result<bool> {
    Ok(scene
        .count(
            "select (not exists (select from order_totals.totals t full join \
                (select type, count(*) as events from outbox.stored_event group by type) e on e.type = t.type \
                where t.events is distinct from e.events) \
              and not exists (select from order_totals.stands s full join \
                (select stream, max(version) as version from outbox.stored_event group by stream) e on e.stream = s.stream \
                where s.version is distinct from e.version))::int::bigint",
        )
        .await?
        == 1)
}

pub(crate) async fn becomes_right(scene: &Scene) -> Result {
    until("the tables are right", PATIENCE, async || {
        let has_tables = scene
            .count("select count(*) from pg_tables where schemaname = 'order_totals'")
            .await?
            == 2;
        Ok((has_tables && is_right(scene).await?).then_some(()))
    })
    .await
}
