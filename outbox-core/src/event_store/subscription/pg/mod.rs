//! The database of a subscription. Every statement is bounded in time.

use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use sqlx::{AssertSqlSafe, Connection as _, Postgres};
use tokio::sync::{Semaphore, SemaphorePermit};

pub(super) use sqlx::PgConnection;
pub(in crate::event_store) use sqlx::PgPool;

use super::obstacle::Obstacle;
use super::{Error, Subscription};
use crate::event_store::pg::failed;

mod leases;
mod listener;
mod pages;
mod parked;
mod places;
mod reached;

pub(super) use listener::listen;
pub(super) use pages::Page;
pub(super) use parked::Due;
pub(super) use places::Fenced;
pub(super) use reached::{Reached, reached};

const DRAWN: &str = include_str!("../../../../queries/subscription/drawn.sql");
const ENTER_SCHEMA: &str = include_str!("../../../../queries/subscription/enter_schema.sql");

/// No statement of ours takes this long on a server that works.
const STATEMENT_LIMIT: Duration = Duration::from_secs(30);
/// SQLSTATE of a statement that needs a transaction.
const NO_TRANSACTION: &str = "25P01";
/// One for looks, and one that listens.
const CONNECTIONS_KEPT: usize = 2;

/// A transaction that applies.
pub(super) type Transaction<'c> = sqlx::Transaction<'c, Postgres>;

/// A subscription's connections. Looks have one to themselves: a lease must not end because handlers are slow.
#[derive(Clone)]
pub(super) struct Store {
    pool: PgPool,
    slots: Arc<Semaphore>,
    pub(super) subscription: Arc<Subscription>,
    begin: String,
}

/// A connection that applies, and room for it.
pub(super) struct Lent<'s> {
    connection: PoolConnection<Postgres>,
    is_unclear: bool,
    _slot: Option<SemaphorePermit<'s>>,
}

impl Store {
    /// # Errors
    /// When the pool is too small.
    pub(super) fn new(pool: PgPool, subscription: Arc<Subscription>) -> Result<Self, Error> {
        let connections = pool.options().get_max_connections() as usize;
        let slots = connections.saturating_sub(CONNECTIONS_KEPT);
        if slots == 0 {
            return Err(Error::Configuration {
                problems: vec![format!(
                    "pool: a subscription needs 3 connections at least (one applies, one renews leases, one listens), got {connections}"
                )],
            });
        }
        // The server ends a process that stopped in the middle: its locks go within the time of the lease, or that which a handler may take
        // for something elsewhere, if that is longer. An effect must be one that a crash does not undo after a wait for it ended.
        let begin = format!(
            "begin isolation level read committed read write; set local idle_in_transaction_session_timeout = {}; \
             set local statement_timeout = {}; \
             select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off'",
            subscription.lease.max(subscription.handler_limit).as_millis(),
            (subscription.handler_limit + STATEMENT_LIMIT / 2).as_millis()
        );
        Ok(Self {
            pool,
            slots: Arc::new(Semaphore::new(slots)),
            subscription,
            begin,
        })
    }

    fn name(&self) -> &str {
        &self.subscription.name
    }

    fn generation(&self) -> i32 {
        self.subscription.generation
    }

    /// A connection to apply with.
    pub(super) async fn lend(&self) -> Result<Lent<'_>, Error> {
        let slot = self.slots.acquire().await.ok();
        Ok(Lent {
            connection: bounded("taking a connection", self.pool.acquire()).await?,
            is_unclear: false,
            _slot: slot,
        })
    }

    pub(super) async fn begin<'c>(&self, lent: &'c mut Lent<'_>) -> Result<Transaction<'c>, Error> {
        lent.is_unclear = true;
        let begin = lent.connection.begin_with(AssertSqlSafe(self.begin.clone()));
        let begun = bounded("beginning a transaction", begin).await?;
        lent.is_unclear = false;
        Ok(begun)
    }

    /// What the handler of a projection names without a schema is looked for in that of its generation first.
    pub(super) async fn enter_schema(&self, tx: &mut PgConnection) -> Result<(), Error> {
        if !self.subscription.is_projection {
            return Ok(());
        }
        let query = sqlx::query(ENTER_SCHEMA)
            .bind(self.name())
            .bind(self.generation());
        bounded("entering the schema of a projection", query.fetch_optional(tx))
            .await?
            .map(drop)
            .ok_or_else(|| Error::Gone {
                name: self.name().to_owned(),
            })
    }
}

impl Lent<'_> {
    /// Closes it: the server undoes what is open on it.
    pub(super) fn close(mut self) {
        self.is_unclear = true;
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if self.is_unclear {
            self.connection.close_on_drop();
        }
    }
}

/// Before an attempt: what the handler does is undone up to here.
pub(super) async fn begin_attempt(tx: &mut PgConnection) -> Result<(), Error> {
    savepoint("setting a savepoint", tx, "savepoint outbox_event").await
}

/// After an attempt that succeeded. Fails if the handler left the transaction otherwise than it was.
pub(super) async fn keep_attempt(tx: &mut PgConnection) -> Result<(), Error> {
    savepoint("keeping what a handler did", tx, "release savepoint outbox_event").await
}

/// After an attempt that failed.
pub(super) async fn undo_attempt(tx: &mut PgConnection) -> Result<(), Error> {
    let statement = "rollback to savepoint outbox_event; release savepoint outbox_event";
    savepoint("undoing what a handler did", tx, statement).await
}

async fn savepoint(doing: &'static str, tx: &mut PgConnection, statement: &'static str) -> Result<(), Error> {
    bounded(doing, sqlx::raw_sql(statement).execute(tx))
        .await
        .map(drop)
}

pub(super) async fn commit(tx: Transaction<'_>) -> Result<(), Error> {
    bounded("committing", tx.commit()).await
}

pub(super) async fn rollback(tx: Transaction<'_>) -> Result<(), Error> {
    bounded("undoing a transaction", tx.rollback()).await
}

/// Runs a statement of the library's own within its limit.
pub(in crate::event_store) async fn bounded<T>(
    doing: &'static str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(STATEMENT_LIMIT, work).await {
        Ok(outcome) => outcome.map_err(|error| Error::Store(failed(doing)(error))),
        Err(_) => Err(Error::Slow {
            doing,
            limit: STATEMENT_LIMIT,
        }),
    }
}

/// A statement that names the transaction which took the lease changed this many rows: one, unless a handler ended that transaction.
fn still_own(doing: &'static str, rows: u64) -> Result<(), Error> {
    if rows == 1 {
        return Ok(());
    }
    Err(Error::Store(crate::event_store::Error::Database {
        doing,
        code: NO_TRANSACTION.to_owned(),
        message: "the transaction that took the lease was ended by a handler".to_owned(),
    }))
}

/// What the database had to do with a handler's error.
pub(super) enum Cause {
    /// Nothing, or it refused a statement with this SQLSTATE.
    Handler(Option<String>),
    /// Something with this SQLSTATE was in the way: the same attempt may succeed soon.
    Obstacle(Obstacle, String),
    /// The server or the connection is gone: no fault of the handler.
    Outage,
}

/// Finds the database's part in a handler's error.
pub(super) fn cause_of(error: &(dyn std::error::Error + 'static)) -> Cause {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<sqlx::Error>() {
            return match error {
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Cause::Outage,
                sqlx::Error::Database(error) => error
                    .code()
                    .map_or(Cause::Handler(None), |code| cause_of_refusal(&**error, &code)),
                _ => Cause::Handler(None),
            };
        }
        if let Some(crate::event_store::Error::Database { code, .. }) = error.downcast_ref() {
            return cause_of_code(code);
        }
        next = error.source();
    }
    Cause::Handler(None)
}

/// As below; but a server that says no and goes on listening is not gone, whatever it says no with: another server that a handler asked
/// through this one is (`postgres_fdw`, `dblink`), and its SQLSTATE is handed on.
fn cause_of_refusal(error: &(dyn sqlx::error::DatabaseError + 'static), code: &str) -> Cause {
    let refused = error.try_downcast_ref::<PgDatabaseError>();
    let goes_on = refused.is_some_and(|refused| matches!(refused.severity(), PgSeverity::Error));
    match cause_of_code(code) {
        Cause::Outage if goes_on => Cause::Handler(Some(code.to_owned())),
        cause => cause,
    }
}

/// Whose doing a refusal with this SQLSTATE is.
pub(super) fn cause_of_code(code: &str) -> Cause {
    if let Some(obstacle) = Obstacle::of_code(code) {
        return Cause::Obstacle(obstacle, code.to_owned());
    }
    match code {
        // A limit that was set for one statement (`temp_file_limit`), and another server that a handler asked through this one.
        "53400" | "08001" => Cause::Handler(Some(code.to_owned())),
        _ if ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) => Cause::Outage,
        _ => Cause::Handler(Some(code.to_owned())),
    }
}
