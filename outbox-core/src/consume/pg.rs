//! The handler's database: leases, how far a stream came, the inbox, failures. Every statement is bounded in time.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::time::Duration;

use outbox_migrations::Set;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgPoolOptions, PgQueryResult};
use sqlx::{AssertSqlSafe, Connection, Postgres};
use time::OffsetDateTime;

pub use sqlx::PgConnection;
pub(super) use sqlx::PgPool;
pub(super) use sqlx::postgres::PgConnectOptions;

use super::{Error, Failure};
use crate::event::{EntryId, Event};

/// No statement of ours takes this long on a server that works.
const STATEMENT_LIMIT: Duration = Duration::from_secs(30);

/// The database of a consumer's handlers.
#[derive(Clone)]
pub(super) struct Store {
    pool: PgPool,
    consumer: String,
    lease: Duration,
    begin: String,
}

/// A transaction on the handlers' database.
pub(super) type Transaction<'c> = sqlx::Transaction<'c, Postgres>;

/// The right to apply a stream, until another member takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) epoch: i64,
}

/// What a URL says about a connection; none when it is no URL of Postgres.
pub(super) fn parse(url: &str) -> Option<PgConnectOptions> {
    url.parse().ok()
}

/// A pool for a consumer that was given a URL.
pub(super) fn connect(options: PgConnectOptions, connections: u32) -> PgPool {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(STATEMENT_LIMIT);
    pool.connect_lazy_with(options)
}

/// How many connections a pool may have.
pub(super) fn pool_size(pool: &PgPool) -> u32 {
    pool.options().get_max_connections()
}

impl Store {
    /// `statement_limit` bounds a handler's statement; between two of them at most `lease` may pass.
    pub(super) fn new(pool: PgPool, consumer: &str, lease: Duration, statement_limit: Duration) -> Self {
        // The server ends a member that stopped in the middle: its locks go within the time of the lease.
        // An entry is acknowledged after the commit, so the commit must be one that a crash does not undo.
        let begin = format!(
            "begin; set local idle_in_transaction_session_timeout = {}; set local statement_timeout = {}; \
             select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off'",
            lease.as_millis(),
            statement_limit.as_millis()
        );
        Self {
            pool,
            consumer: consumer.to_owned(),
            lease,
            begin,
        }
    }

    pub(super) fn consumer(&self) -> &str {
        &self.consumer
    }

    pub(super) fn lease_time(&self) -> Duration {
        self.lease
    }

    fn lease_ms(&self) -> f64 {
        self.lease.as_secs_f64() * 1000.0
    }

    /// Refuses a database without the inbox that this library needs.
    pub(super) async fn check(&self) -> Result<(), Error> {
        let mut connection = self.acquire("reading the version of the inbox").await?;
        let status = outbox_migrations::status(&mut connection, Set::Inbox).await;
        let status = status.map_err(|source| match source {
            outbox_migrations::Error::Database { source, doing, .. } => failed(doing, source),
            other => Error::Migrations { source: other },
        })?;
        match status.applied {
            Some(found) if found >= status.known => Ok(()),
            found => Err(Error::Schema {
                found,
                needed: status.known,
            }),
        }
    }

    pub(super) async fn function_exists(&self, signature: &str) -> Result<bool, Error> {
        let query =
            sqlx::query_scalar(include_str!("../../queries/consume/function_exists.sql")).bind(signature);
        bounded("looking for the function", query.fetch_one(&self.pool)).await
    }

    pub(super) async fn add_lease(&self, stream: &str) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../queries/consume/add_lease.sql"))
            .bind(&self.consumer)
            .bind(stream);
        bounded("adding the lease of a stream", query.execute(&self.pool))
            .await
            .map(drop)
    }

    /// The lease if nobody holds it.
    pub(super) async fn take_lease(&self, stream: &str, member: &str) -> Result<Option<Lease>, Error> {
        let query = sqlx::query_scalar(include_str!("../../queries/consume/take_lease.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(member)
            .bind(self.lease_ms());
        let epoch: Option<i64> = bounded("taking the lease", query.fetch_optional(&self.pool)).await?;
        Ok(epoch.map(|epoch| Lease { epoch }))
    }

    /// False when another member took it.
    pub(super) async fn renew_lease(&self, stream: &str, lease: Lease) -> Result<bool, Error> {
        let query = sqlx::query(include_str!("../../queries/consume/renew_lease.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(lease.epoch)
            .bind(self.lease_ms());
        let done: PgQueryResult = bounded("renewing the lease", query.execute(&self.pool)).await?;
        Ok(done.rows_affected() == 1)
    }

    pub(super) async fn release_lease(&self, stream: &str, lease: Lease) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../queries/consume/release_lease.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(lease.epoch);
        bounded("giving the lease back", query.execute(&self.pool))
            .await
            .map(drop)
    }

    /// The entry last passed on a stream; none for a group that never passed one.
    pub(super) async fn passed(&self, stream: &str) -> Result<Option<EntryId>, Error> {
        let query = sqlx::query_as(include_str!("../../queries/consume/passed.sql"))
            .bind(&self.consumer)
            .bind(stream);
        let row: Option<(String, String)> = bounded(
            "reading how far the stream came",
            query.fetch_optional(&self.pool),
        )
        .await?;
        row.map(|(batch, position)| entry_id(&format!("{batch}-{position}")))
            .transpose()
    }

    /// What failed and is not given up: attempts so far and the time until the next.
    pub(super) async fn failures(&self, stream: &str) -> Result<HashMap<EntryId, (u32, Duration)>, Error> {
        let query = sqlx::query_as(include_str!("../../queries/consume/failures.sql"))
            .bind(&self.consumer)
            .bind(stream);
        let rows: Vec<(String, i32, i64)> =
            bounded("reading what failed", query.fetch_all(&self.pool)).await?;
        rows.into_iter()
            .map(|(id, attempts, pause_ms)| {
                let pause = Duration::from_millis(pause_ms.unsigned_abs());
                Ok((entry_id(&id)?, (attempts.unsigned_abs(), pause)))
            })
            .collect()
    }

    pub(super) async fn record_failure(
        &self,
        stream: &str,
        id: EntryId,
        attempts: u32,
        pause: Duration,
        failure: &Failure,
    ) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../queries/consume/record_failure.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(id.to_string())
            .bind(i32::try_from(attempts).unwrap_or(i32::MAX))
            .bind(pause.as_secs_f64() * 1000.0)
            .bind(&failure.class)
            .bind(&failure.text);
        bounded("recording a failed attempt", query.execute(&self.pool))
            .await
            .map(drop)
    }

    /// Makes the day that `moment` lies in. Not inside an applying transaction: it would hold its lock until the commit.
    pub(super) async fn add_inbox_day(&self, moment: OffsetDateTime) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../queries/consume/add_inbox_day.sql")).bind(moment);
        bounded("making a day of the inbox", query.execute(&self.pool))
            .await
            .map(drop)
    }

    /// Drops days of the inbox that are older than it keeps. Returns how many.
    pub(super) async fn forget_inbox(&self) -> Result<i32, Error> {
        let query = sqlx::query_scalar(include_str!("../../queries/consume/forget_inbox.sql"));
        bounded("dropping old days of the inbox", query.fetch_one(&self.pool)).await
    }

    /// Whether the entry was given up because it could not be read.
    pub(super) async fn is_unreadable(&self, stream: &str, id: EntryId) -> Result<bool, Error> {
        let query = sqlx::query_scalar(include_str!("../../queries/dead_letter/is_unreadable.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(id.to_string());
        bounded("looking for a dead letter", query.fetch_one(&self.pool)).await
    }

    pub(super) async fn acquire(&self, doing: &'static str) -> Result<PoolConnection<Postgres>, Error> {
        bounded(doing, self.pool.acquire()).await
    }

    pub(super) async fn begin<'c>(
        &self,
        connection: &'c mut PoolConnection<Postgres>,
    ) -> Result<Transaction<'c>, Error> {
        bounded(
            "beginning a transaction",
            connection.begin_with(AssertSqlSafe(self.begin.clone())),
        )
        .await
    }

    /// Whether this lease still holds. Keeps a takeover waiting until the transaction ends.
    pub(super) async fn fence(&self, tx: &mut PgConnection, stream: &str, lease: Lease) -> Result<(), Error> {
        let query = sqlx::query_scalar(include_str!("../../queries/consume/fence.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(lease.epoch);
        let held: Option<bool> = bounded("checking the lease", query.fetch_optional(tx)).await?;
        held.map(drop).ok_or(Error::Fenced)
    }

    /// Records events as finished. Returns the entries whose event was not finished before.
    pub(super) async fn enter_inbox(
        &self,
        tx: &mut PgConnection,
        stream: &str,
        outcome: &str,
        events: &[(EntryId, &Event)],
    ) -> Result<Vec<EntryId>, Error> {
        let (mut ids, mut sources, mut times, mut entries) = (vec![], vec![], vec![], vec![]);
        let (mut foreign_ids, mut foreign_sources, mut foreign_entries) = (vec![], vec![], vec![]);
        for (entry, event) in events {
            if let Some(recorded_at) = recorded_at(event) {
                ids.push(event.id.as_str());
                sources.push(event.source.as_str());
                times.push(recorded_at);
                entries.push(entry.to_string());
            } else {
                foreign_ids.push(event.id.as_str());
                foreign_sources.push(event.source.as_str());
                foreign_entries.push(entry.to_string());
            }
        }
        let doing = "recording events in the inbox";
        let mut fresh: Vec<String> = Vec::new();
        if !ids.is_empty() {
            let query = sqlx::query_scalar(include_str!("../../queries/consume/enter_inbox.sql"))
                .bind(&self.consumer)
                .bind(outcome)
                .bind(stream)
                .bind(sources)
                .bind(ids)
                .bind(times)
                .bind(entries);
            fresh = bounded(doing, query.fetch_all(&mut *tx)).await?;
        }
        if !foreign_ids.is_empty() {
            let query = sqlx::query_scalar(include_str!("../../queries/consume/enter_inbox_foreign.sql"))
                .bind(&self.consumer)
                .bind(outcome)
                .bind(stream)
                .bind(foreign_sources)
                .bind(foreign_ids)
                .bind(foreign_entries);
            fresh.extend(bounded(doing, query.fetch_all(&mut *tx)).await?);
        }
        fresh.iter().map(|id| entry_id(id)).collect()
    }

    pub(super) async fn clear_failures(
        &self,
        tx: &mut PgConnection,
        stream: &str,
        ids: &[EntryId],
    ) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../queries/consume/clear_failures.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(ids.iter().map(EntryId::to_string).collect::<Vec<_>>());
        bounded("clearing what failed before", query.execute(tx))
            .await
            .map(drop)
    }

    pub(super) async fn move_passed(
        &self,
        tx: &mut PgConnection,
        stream: &str,
        id: EntryId,
    ) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../queries/consume/move_passed.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(id.batch_id.to_string())
            .bind(id.position.to_string());
        bounded("recording how far the stream came", query.execute(tx))
            .await
            .map(drop)
    }

    /// Fails when a statement of the handler failed and the handler said nothing: the commit would be a silent rollback.
    pub(super) async fn prove_alive(&self, tx: &mut PgConnection) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../queries/consume/alive.sql"));
        bounded("proving that the transaction is whole", query.execute(tx))
            .await
            .map(drop)
    }
}

/// When the event was recorded, if it says so in a year that the inbox has days for. A property of the event alone:
/// whichever member asks, now or later, looks for it in the same place.
pub(super) fn recorded_at(event: &Event) -> Option<OffsetDateTime> {
    event
        .recorded_at
        .filter(|at| (2000..3000).contains(&at.to_offset(time::UtcOffset::UTC).year()))
}

pub(super) async fn commit(tx: Transaction<'_>) -> Result<(), Error> {
    bounded("committing", tx.commit()).await
}

pub(super) async fn rollback(tx: Transaction<'_>) -> Result<(), Error> {
    bounded("undoing a transaction", tx.rollback()).await
}

/// Runs a statement of the library's own within its limit.
pub(super) async fn bounded<T>(
    doing: &'static str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(STATEMENT_LIMIT, work).await {
        Ok(outcome) => outcome.map_err(|error| failed(doing, error)),
        Err(_) => Err(Error::Slow {
            doing,
            limit: STATEMENT_LIMIT,
        }),
    }
}

fn failed(doing: &'static str, error: sqlx::Error) -> Error {
    let code = error
        .as_database_error()
        .and_then(|error| error.code())
        .map(Into::into);
    Error::Postgres {
        doing,
        code,
        source: Box::new(error),
    }
}

/// What the database had to do with a handler's error.
pub(super) enum Cause {
    /// Nothing, or it refused a statement with this SQLSTATE.
    Handler(Option<String>),
    /// Two transactions met: the same attempt may succeed at once.
    Conflict,
    /// The server or the connection is gone: no fault of the handler.
    Outage,
}

/// Finds the database's part in a handler's error.
pub(super) fn cause_of(error: &(dyn StdError + 'static)) -> Cause {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<sqlx::Error>() {
            return match error {
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Cause::Outage,
                sqlx::Error::Database(error) => match error.code() {
                    Some(code) => cause_of_code(&code),
                    None => Cause::Handler(None),
                },
                _ => Cause::Handler(None),
            };
        }
        next = error.source();
    }
    Cause::Handler(None)
}

/// Whose doing a refusal with this SQLSTATE is.
pub(super) fn cause_of_code(code: &str) -> Cause {
    match code {
        "40001" | "40P01" => Cause::Conflict,
        _ if ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) => Cause::Outage,
        _ => Cause::Handler(Some(code.to_owned())),
    }
}

fn entry_id(text: &str) -> Result<EntryId, Error> {
    text.parse().map_err(|source| Error::Postgres {
        doing: "reading an entry id",
        code: None,
        source: Box::new(source),
    })
}

/// Calls an SQL function with the event as JSON.
pub(super) async fn call(tx: &mut PgConnection, statement: &str, event: &str) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement.to_owned()))
        .bind(event)
        .execute(tx)
        .await
        .map(drop)
}
