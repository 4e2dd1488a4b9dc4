//! The handlers' database: how far a stream came, what failed, transactions. Every statement is bounded in time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outbox_migrations::Set;
use sqlx::postgres::{PgDatabaseError, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Postgres};

pub use sqlx::PgConnection;
pub(super) use sqlx::PgPool;
pub(super) use sqlx::postgres::PgConnectOptions;

use super::Error;
use super::lease::Lease;
use crate::event::EntryId;

mod answers;
mod cause;
mod give_back;
mod lent;
mod savepoint;

pub(super) use cause::{Cause, cause_of, cause_of_code};
pub(super) use lent::Lent;
pub(super) use savepoint::{ABORTED, begin_attempt, is_there, next_attempt, undo_attempt};

/// No statement of ours takes this long on a server that works.
const STATEMENT_LIMIT: Duration = Duration::from_secs(30);

/// What is only of use at once is not waited for longer.
const SOON: Duration = Duration::from_secs(2);

/// A connection that was in use so lately is handed out again without a question to the server. Of one that is gone the next
/// transaction says so, as do those under way.
const FRESH: Duration = Duration::from_secs(1);

/// With these SQLSTATEs the functions for operators refuse what they are asked for: a value that is not possible, nothing under
/// that name, somebody else at work, a lease that ran out.
const REFUSALS: [&str; 4] = ["22023", "P0002", "55006", "55000"];

/// SQLSTATE for a transaction that is not there: a handler committed or rolled back by itself.
pub(super) const ENDED: &str = "25P01";

/// The database of a consumer's handlers.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) pool: PgPool,
    pub(super) consumer: String,
    pub(super) lease: Duration,
    /// How long the server lets a statement of an applying transaction take.
    statement_limit: Duration,
    begin: String,
    /// The inbox has so many days that no plan may be kept that is made for all of them: it would lock them all.
    pub(super) has_many_days: Arc<AtomicBool>,
}

/// A transaction on the handlers' database.
pub(super) type Transaction<'c> = sqlx::Transaction<'c, Postgres>;

/// What a URL says about a connection; none when it is no URL of Postgres.
pub(super) fn parse(url: &str) -> Option<PgConnectOptions> {
    url.parse().ok()
}

/// A pool for a consumer that was given a URL.
pub(super) fn connect(options: PgConnectOptions, connections: u32) -> PgPool {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(STATEMENT_LIMIT)
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move { Ok(state.idle_for < FRESH || connection.ping().await.is_ok()) })
        });
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
        // Each statement must see what was committed before it: claims and lanes are told by that, whatever the default is.
        let begin = format!(
            "begin isolation level read committed read write; set local outbox.applying = 'on'; \
             set local idle_in_transaction_session_timeout = {}; set local statement_timeout = {}",
            lease.as_millis(),
            statement_limit.as_millis()
        );
        Self {
            pool,
            consumer: consumer.to_owned(),
            lease,
            statement_limit,
            begin,
            has_many_days: Arc::default(),
        }
    }

    pub(super) fn consumer(&self) -> &str {
        &self.consumer
    }

    /// How many connections there may be.
    pub(super) fn connections(&self) -> usize {
        pool_size(&self.pool) as usize
    }

    pub(super) fn lease_time(&self) -> Duration {
        self.lease
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

    /// Whether the function is volatile; none: there is no such function.
    pub(super) async fn is_volatile(&self, signature: &str) -> Result<Option<bool>, Error> {
        let query = sqlx::query_scalar(include_str!("../../queries/consume/is_volatile.sql")).bind(signature);
        bounded("looking for the function", query.fetch_optional(&self.pool)).await
    }

    /// How many locks the server has room for, over all sessions.
    pub(super) async fn lock_room(&self) -> Result<i64, Error> {
        let query = sqlx::query_scalar(include_str!("../../queries/consume/lock_room.sql"));
        bounded("looking at the room for locks", query.fetch_one(&self.pool)).await
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

    /// What is before the stream is passed. From here on nobody looks for it.
    pub(super) async fn drop_prelude(&self, stream: &str, prelude: &str) -> Result<(), Error> {
        let query = sqlx::query(include_str!("../../queries/consume/drop_prelude.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(prelude);
        bounded("noting that older entries are passed", query.execute(&self.pool))
            .await
            .map(drop)
    }

    /// Where the group finds what the stream no longer has; none if there is nothing left of it.
    pub(super) async fn prelude(&self, stream: &str) -> Result<Option<String>, Error> {
        let query = sqlx::query_scalar(include_str!("../../queries/consume/prelude.sql"))
            .bind(&self.consumer)
            .bind(stream);
        let row: Option<Option<String>> = bounded(
            "reading where older entries are",
            query.fetch_optional(&self.pool),
        )
        .await?;
        Ok(row.flatten())
    }

    /// What failed before failed events were parked: attempts so far.
    pub(super) async fn failures(&self, stream: &str) -> Result<HashMap<EntryId, u32>, Error> {
        let query = sqlx::query_as(include_str!("../../queries/consume/failures.sql"))
            .bind(&self.consumer)
            .bind(stream);
        let rows: Vec<(String, i32)> = bounded("reading what failed", query.fetch_all(&self.pool)).await?;
        rows.into_iter()
            .map(|(id, attempts)| Ok((entry_id(&id)?, attempts.unsigned_abs())))
            .collect()
    }

    /// Whether the entry was given up because it could not be read.
    pub(super) async fn is_unreadable(&self, stream: &str, id: EntryId) -> Result<bool, Error> {
        let query = sqlx::query_scalar(include_str!("../../queries/dead_letter/is_unreadable.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(id.to_string());
        bounded("looking for a dead letter", query.fetch_one(&self.pool)).await
    }

    /// Whether a person let the hole before this entry pass.
    pub(super) async fn is_hole_passed(&self, stream: &str, held: EntryId) -> Result<bool, Error> {
        let query = sqlx::query_scalar(include_str!("../../queries/consume/hole_passed.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(held.to_string());
        bounded(
            "looking whether a hole may be passed",
            query.fetch_one(&self.pool),
        )
        .await
    }

    /// Ends the server's side of a transaction that was given up in the middle. When that fails, it ends by itself, later.
    pub(super) async fn end_backend(&self, backend: i32) {
        let query = sqlx::query(include_str!("../../queries/consume/end_backend.sql")).bind(backend);
        let work = async {
            let mut connection = self.acquire("taking a connection to end a session").await?;
            bounded("ending a session", query.execute(&mut *connection)).await
        };
        let ended = tokio::time::timeout(SOON, work).await;
        if !matches!(ended, Ok(Ok(_))) {
            tracing::warn!(
                "the session of a handler that did not answer was not ended: its locks go when its statement ends"
            );
        }
    }

    /// Runs a statement of an applying transaction that may wait for another one, whose handlers are at work: the server ends it
    /// after as long as a handler may take, which is a conflict and no outage.
    pub(super) async fn in_turn<T>(
        &self,
        doing: &'static str,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Error> {
        bounded_by(self.statement_limit + STATEMENT_LIMIT, doing, work).await
    }

    pub(super) async fn acquire(&self, doing: &'static str) -> Result<Lent, Error> {
        bounded(doing, self.pool.acquire()).await.map(Lent::new)
    }

    /// Begins a transaction that applies. The row of `watched` in the inbox tells whether a handler commits too early.
    pub(super) async fn begin<'c>(
        &self,
        connection: &'c mut Lent,
        watched: Option<EntryId>,
    ) -> Result<Transaction<'c>, Error> {
        let mut begin = self.begin.clone();
        if let Some(id) = watched {
            begin.push_str(&format!("; set local outbox.watched = '{id}'"));
        }
        if self.has_many_days.load(Ordering::Relaxed) {
            begin.push_str("; set local plan_cache_mode = 'force_custom_plan'");
        }
        bounded("beginning a transaction", connection.begin(begin)).await
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
        let query = sqlx::query_scalar(include_str!("../../queries/consume/move_passed.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(id.batch_id.to_string())
            .bind(id.position.to_string());
        whole("recording how far the stream came", query.fetch_one(tx)).await
    }

    /// Records how far the stream came, apart from the transactions that brought it there.
    pub(super) async fn record_passed(&self, stream: &str, lease: Lease, id: EntryId) -> Result<(), Error> {
        let query = sqlx::query_scalar(include_str!("../../queries/consume/record_passed.sql"))
            .bind(&self.consumer)
            .bind(stream)
            .bind(lease.epoch)
            .bind(id.batch_id.to_string())
            .bind(id.position.to_string());
        let is_recorded = bounded("recording how far the stream came", query.fetch_one(&self.pool)).await?;
        crash_point!(PASSED_RECORDED);
        if is_recorded { Ok(()) } else { Err(Error::Fenced) }
    }

    /// Fails when a statement of the handler failed and the handler said nothing (the commit would be a silent rollback),
    /// and when the handler ended the transaction itself.
    pub(super) async fn prove_whole(&self, tx: &mut PgConnection) -> Result<(), Error> {
        let query = sqlx::query_scalar(include_str!("../../queries/consume/whole.sql"));
        whole("proving that the transaction is whole", query.fetch_one(tx)).await
    }
}

pub(super) async fn commit(tx: Transaction<'_>) -> Result<(), Error> {
    bounded("committing", tx.commit()).await
}

pub(super) async fn rollback(tx: Transaction<'_>) -> Result<(), Error> {
    bounded("undoing a transaction", tx.rollback()).await
}

/// Runs a statement that answers whether this is still the transaction that was begun.
async fn whole(
    doing: &'static str,
    work: impl Future<Output = Result<bool, sqlx::Error>>,
) -> Result<(), Error> {
    match bounded(doing, work).await? {
        true => Ok(()),
        false => Err(Error::Postgres {
            doing,
            code: Some(ENDED.to_owned()),
            source: "the transaction was ended before".into(),
        }),
    }
}

/// Runs a statement of the library's own within its limit.
pub(super) async fn bounded<T>(
    doing: &'static str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Error> {
    bounded_by(STATEMENT_LIMIT, doing, work).await
}

async fn bounded_by<T>(
    limit: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(outcome) => outcome.map_err(|error| failed(doing, error)),
        Err(_) => Err(Error::Slow { doing, limit }),
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

/// What a function for operators refused, in its own words: nothing was changed. Any other failure stays what it is.
pub(super) fn refused(error: Error) -> Error {
    let Error::Postgres { source, .. } = &error else {
        return error;
    };
    let Some(sqlx::Error::Database(said)) = source.downcast_ref::<sqlx::Error>() else {
        return error;
    };
    let is_refusal = said.code().is_some_and(|code| REFUSALS.contains(&&*code));
    // Message and hint are ours; a detail might quote values.
    let hint = said
        .try_downcast_ref::<PgDatabaseError>()
        .and_then(PgDatabaseError::hint);
    match (is_refusal, hint) {
        (false, _) => error,
        (true, None) => Error::Refused {
            said: said.message().to_owned(),
        },
        (true, Some(hint)) => Error::Refused {
            said: format!("{}. {hint}", said.message()),
        },
    }
}

pub(super) fn entry_id(text: &str) -> Result<EntryId, Error> {
    text.parse().map_err(|source| Error::Postgres {
        doing: "reading an entry id",
        code: None,
        source: Box::new(source),
    })
}

/// Calls an SQL function with each of these events as JSON.
pub(super) async fn call(
    tx: &mut PgConnection,
    statement: Arc<str>,
    events: Vec<String>,
) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement))
        .bind(events)
        .execute(tx)
        .await
        .map(drop)
}
