//! Several statements that see one snapshot: that of the first.
//!
//! A transaction that is `repeatable read`. What its last statement stores as `pg_current_snapshot()` is what the first one counted in,
//! by the server's own doing: nobody carries a snapshot from one to the other. And it is one connection of the server, also behind a
//! pooler, so both halves are of one history.
//!
//! Its statements have no name, so their plans are made for it, by its settings and parameters.
//!
//! **How it fails.** Whatever fails is undone as a whole. A session that is given up inside of it stores nothing.

use std::time::Duration;

use tokio::sync::MutexGuard;
use tokio_postgres::Row;

use super::session::{Parameters, Session};
use crate::tail::{Error, Kind};

/// Whether it may write is the session's: who made a database read only is told so, and meets no exception. Who stands still inside of it
/// holds nobody up for long: behind the cut is its number.
const BEGIN: &str = "begin isolation level repeatable read; set local search_path = pg_catalog, pg_temp; set local synchronous_commit = on; \
    set local statement_timeout = '900s'; set local idle_in_transaction_session_timeout = '10s'; \
    set local enable_bitmapscan = off; set local plan_cache_mode = force_custom_plan; set local jit = off";

/// For a statement that wants nearly everything. How many processes work on it is the server's setting for this role, as if the session had
/// none of its own.
const READ_AS_IT_LIES: &str = "set local enable_seqscan = on; set local enable_indexscan = off; set local enable_indexonlyscan = off; \
    set local max_parallel_workers_per_gather to default";

/// For what is found among much else, as in all other statements.
const READ_BY_INDEX: &str = "set local enable_seqscan = off; set local enable_indexscan = on; set local enable_indexonlyscan = on; \
    set local max_parallel_workers_per_gather = 0";

/// A transaction that is open.
pub(crate) struct OneSnapshot<'a> {
    session: &'a Session,
    _turn: MutexGuard<'a, ()>,
}

impl<'a> OneSnapshot<'a> {
    /// Begins. Whoever does must come to [`Self::query_and_commit`] or [`Self::undo`], or give the session up.
    pub(crate) async fn begin(session: &'a Session) -> Result<Self, Error> {
        let turn = session.turn.lock().await;
        let work = Self { session, _turn: turn };
        match session.batch(BEGIN).await {
            Ok(()) => Ok(work),
            Err(error) => Err(work.undo(error).await),
        }
    }

    /// What follows reads pieces of the log from their beginning to their end.
    pub(crate) async fn read_as_it_lies(&self) -> Result<(), Error> {
        self.session.batch(READ_AS_IT_LIES).await
    }

    /// What follows goes by the indexes.
    pub(crate) async fn read_by_index(&self) -> Result<(), Error> {
        self.session.batch(READ_BY_INDEX).await
    }

    /// Runs one statement.
    pub(crate) async fn query(
        &self,
        sql: &'static str,
        parameters: Parameters<'_>,
        limit: Duration,
    ) -> Result<Vec<Row>, Error> {
        let work = self.session.client.query_typed(sql, parameters);
        self.session.bounded(work, limit).await
    }

    /// Runs the last statement and commits, in one flight: the server waits for nobody between the two. Durable when this returns; undone
    /// when it fails.
    pub(crate) async fn query_and_commit(
        self,
        sql: &'static str,
        parameters: Parameters<'_>,
        limit: Duration,
    ) -> Result<Vec<Row>, Error> {
        let client = &self.session.client;
        let work = async {
            // Sent in this order. Behind a statement that failed a commit undoes, and says nothing of it.
            let (rows, end) = tokio::join!(
                client.query_typed(sql, parameters),
                client.batch_execute("commit")
            );
            let rows = rows?;
            end?;
            Ok(rows)
        };
        self.session.durably(self.session.bounded(work, limit)).await
    }

    /// Undoes it because of an error. Says that error, or why it could not be undone: then the session must go. Where it went before, by a limit
    /// of time or with the connection, the error says more.
    pub(crate) async fn undo(self, error: Error) -> Error {
        match self.session.batch("rollback").await {
            Err(lost) if !matches!(error.kind(), Kind::Timeout | Kind::Connection) => lost,
            _ => error,
        }
    }
}
