//! The savepoint that an attempt is undone to.

use sqlx::{AssertSqlSafe, SqlSafeStr};

use super::{PgConnection, bounded};
use crate::consume::Error;
use crate::event::EntryId;

/// SQLSTATE of any statement in a transaction in which one failed.
pub(in crate::consume) const ABORTED: &str = "25P02";

/// Before the first attempt of a transaction: what a handler does is undone up to here. `watched`, an event that was in the
/// inbox before, tells whether its handler commits too early.
pub(in crate::consume) async fn begin_attempt(
    tx: &mut PgConnection,
    watched: Option<EntryId>,
) -> Result<(), Error> {
    let statement = match watched {
        Some(id) => AssertSqlSafe(format!(
            "set local outbox.watched = '{id}'; savepoint outbox_event"
        ))
        .into_sql_str(),
        None => "savepoint outbox_event".into_sql_str(),
    };
    savepoint("setting a savepoint", tx, statement).await
}

/// After an attempt that succeeded, before the next one. Fails if the handler left the transaction otherwise than it was.
pub(in crate::consume) async fn next_attempt(tx: &mut PgConnection) -> Result<(), Error> {
    let statement = "release savepoint outbox_event; savepoint outbox_event";
    savepoint("keeping what a handler did", tx, statement).await
}

/// After an attempt that failed. The savepoint stays.
pub(in crate::consume) async fn undo_attempt(tx: &mut PgConnection) -> Result<(), Error> {
    savepoint(
        "undoing what a handler did",
        tx,
        "rollback to savepoint outbox_event",
    )
    .await
}

/// Fails unless there is a transaction, aborted or not.
pub(in crate::consume) async fn is_there(tx: &mut PgConnection) -> Result<(), Error> {
    match savepoint(
        "looking whether the transaction is there",
        tx,
        "savepoint outbox_event",
    )
    .await
    {
        Err(Error::Postgres { code: Some(code), .. }) if code == ABORTED => Ok(()),
        answer => answer,
    }
}

async fn savepoint(
    doing: &'static str,
    tx: &mut PgConnection,
    statement: impl SqlSafeStr,
) -> Result<(), Error> {
    bounded(doing, sqlx::raw_sql(statement).execute(tx))
        .await
        .map(drop)
}
