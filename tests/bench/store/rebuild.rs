//! A projection that is built anew beside the live one, from the order to the switch, with all that it takes: the order is found, the
//! tables are made, the events are applied, both are compared, the schemas are renamed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use outbox_core::event_store::StoredEvent;
use outbox_core::event_store::projection::{Projection, ProjectionRunner};
use outbox_core::event_store::subscription::{BoxFuture, HandlerResult, Subscription};
use sqlx::{AssertSqlSafe, PgConnection};
use system_tests::patience::until;
use system_tests::{Failure, Result};
use tokio_util::sync::CancellationToken;

use super::ground::Ground;
use super::project::stored;

const LIMIT: Duration = Duration::from_secs(600);
const TABLE: &str = "create table effect (stream text not null, version bigint not null, type text not null)";
const EFFECT: &str = "insert into effect (stream, version, type) values ($1, $2, $3)";

/// A row for each event. Notes what it is given out of its order.
#[derive(Clone, Default)]
struct Effects {
    newest: Arc<Mutex<Newest>>,
}

#[derive(Default)]
struct Newest {
    versions: HashMap<String, u64>,
    turned: u64,
}

impl Effects {
    /// An event that is applied again, after an attempt that failed, is none that is out of order; one whose predecessor is missing is.
    fn note(&self, event: &StoredEvent) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let version = newest
            .versions
            .entry(event.stream.as_str().to_owned())
            .or_default();
        let is_turned = event.version > *version + 1;
        *version = event.version.max(*version);
        newest.turned += u64::from(is_turned);
    }

    /// Forgets what came, and says how much of it was out of its order.
    fn turned(&self) -> u64 {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *newest).turned
    }
}

impl Projection for Effects {
    fn create(&self) -> Vec<String> {
        vec![TABLE.to_owned()]
    }

    fn apply<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        event: &'a StoredEvent,
    ) -> BoxFuture<'a, HandlerResult> {
        Box::pin(async move {
            self.note(event);
            sqlx::query(EFFECT)
                .bind(event.stream.as_str())
                .bind(i64::try_from(event.version)?)
                .bind(&event.event.r#type)
                .execute(transaction)
                .await?;
            Ok(())
        })
    }
}

pub(super) async fn ours(ground: &mut Ground, events: u32) -> Result<(usize, f64)> {
    let name = stored(ground, events).await?;
    let mut connection = ground.connect().await?;
    let (token, effects) = (CancellationToken::new(), Effects::default());
    let subscription = Subscription::new(name.as_str()).categories([name.as_str()]);
    let runner = ProjectionRunner::asynchronous(ground.pool().clone(), subscription, effects.clone());
    let running = tokio::spawn(runner.run(token.clone()));
    until("the live one has every event", LIMIT, async || {
        let has_tables: bool = sqlx::query_scalar("select to_regclass($1) is not null")
            .bind(format!("{name}.effect"))
            .fetch_one(&mut connection)
            .await?;
        Ok((has_tables && rows(&mut connection, &name).await?.0 >= i64::from(events)).then_some(()))
    })
    .await?;
    let turned = effects.turned();
    let began = Instant::now();
    sqlx::query("select outbox.order_rebuild($1, 'it is measured')")
        .bind(&name)
        .execute(&mut connection)
        .await?;
    until("what was built is live", LIMIT, async || {
        let (state, said): (String, Option<String>) = sqlx::query_as(
            "select state, said from outbox.projection_rebuild where projection = $1 order by number desc limit 1",
        )
        .bind(&name)
        .fetch_one(&mut connection)
        .await?;
        match state.as_str() {
            "held" if said.is_some() => Err(Failure::new(format!("held: {}", said.unwrap_or_default()))),
            state => Ok((state == "switched").then_some(())),
        }
    })
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    token.cancel();
    running.await??;
    let (seen, turned) = (rows(&mut connection, &name).await?, turned + effects.turned());
    if seen != (i64::from(events), i64::from(events)) || turned > 0 {
        return Err(Failure::new(format!(
            "{seen:?} rows, and of distinct events, of {events} events; {turned} before an earlier one"
        )));
    }
    Ok((events as usize, seconds))
}

/// Rows of the live one, and of how many events.
async fn rows(connection: &mut PgConnection, name: &str) -> Result<(i64, i64)> {
    let count = format!("select count(*), count(distinct (stream, version)) from {name}.effect");
    Ok(sqlx::query_as(AssertSqlSafe(count)).fetch_one(connection).await?)
}
