//! The calls of the operators' functions. Unnamed statements, as for reading.

use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::super::read::parse;
use super::super::{DiscardPreview, Error, Filter, Operation, Preview};

/// What a redrive of this filter would do, per consumer; nothing for consumers of which nothing matches.
///
/// # Errors
/// The filter is refused, or the role is not in `outbox_operator`.
pub async fn preview(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<Preview>, Error> {
    const DOING: &str = "failed to preview a redrive";
    let rows: Vec<String> = sqlx::query_scalar(include_str!("../../../queries/dead_letter/preview.sql"))
        .persistent(false)
        .bind(filter.to_json())
        .fetch_all(conn)
        .await
        .map_err(|error| Error::postgres(DOING, error))?;
    parse(DOING, rows)
}

/// Whether this filter leaves no dead letter out, or none of the consumer that it names: then what changes letters must be told that
/// all are meant.
///
/// # Errors
/// The filter is refused, or the role is not in `outbox_operator`.
pub async fn takes_everything(conn: &mut PgConnection, filter: &Filter) -> Result<bool, Error> {
    sqlx::query_scalar(include_str!("../../../queries/dead_letter/takes_everything.sql"))
        .persistent(false)
        .bind(filter.to_json())
        .fetch_one(conn)
        .await
        .map_err(|error| Error::postgres("failed to see what is selected", error))
}

/// Asks for a redrive, so many letters per second, or as fast as they are applied. Returns the operation's number.
///
/// # Errors
/// The filter takes everything and `all` is false, nothing or several consumers match, no reason is given, or the role is
/// not in `outbox_operator`.
pub async fn redrive(
    conn: &mut PgConnection,
    filter: &Filter,
    reason: &str,
    rate: Option<f64>,
    all: bool,
) -> Result<i64, Error> {
    sqlx::query_scalar(include_str!("../../../queries/dead_letter/redrive.sql"))
        .persistent(false)
        .bind(filter.to_json())
        .bind(reason)
        .bind(rate)
        .bind(all)
        .fetch_one(conn)
        .await
        .map_err(|error| Error::postgres("no redrive was begun", error))
}

/// Puts nothing more back. What was put back already, goes on.
///
/// # Errors
/// There is no such operation under way, no reason is given, or the role is not in `outbox_operator`.
pub async fn cancel(conn: &mut PgConnection, operation: i64, reason: &str) -> Result<(), Error> {
    sqlx::query(include_str!("../../../queries/dead_letter/cancel.sql"))
        .persistent(false)
        .bind(operation)
        .bind(reason)
        .execute(conn)
        .await
        .map(drop)
        .map_err(|error| Error::postgres("nothing was cancelled", error))
}

/// Lets a cancelled operation go on with what it had not done.
///
/// # Errors
/// The operation is not cancelled, no reason is given, or the role is not in `outbox_operator`.
pub async fn resume(conn: &mut PgConnection, operation: i64, reason: &str) -> Result<(), Error> {
    sqlx::query(include_str!("../../../queries/dead_letter/resume.sql"))
        .persistent(false)
        .bind(operation)
        .bind(reason)
        .execute(conn)
        .await
        .map(drop)
        .map_err(|error| Error::postgres("nothing was resumed", error))
}

/// Gives a letter other data; the next redrive hands it to the handler. What came is kept beside it.
///
/// # Errors
/// There is no such letter, it is not dead or no event, no reason is given, or the role is not in `outbox_operator`.
pub async fn edit(conn: &mut PgConnection, number: i64, data: &RawValue, reason: &str) -> Result<(), Error> {
    sqlx::query(include_str!("../../../queries/dead_letter/edit.sql"))
        .persistent(false)
        .bind(number)
        .bind(data.get())
        .bind(reason)
        .execute(conn)
        .await
        .map(drop)
        .map_err(|error| Error::postgres("nothing was edited", error))
}

/// What discarding the letters of this filter would do, per consumer.
///
/// # Errors
/// The filter is refused, or the views may not be read.
pub async fn preview_discard(conn: &mut PgConnection, filter: &Filter) -> Result<Vec<DiscardPreview>, Error> {
    const DOING: &str = "failed to preview a discard";
    let rows: Vec<String> =
        sqlx::query_scalar(include_str!("../../../queries/dead_letter/preview_discard.sql"))
            .persistent(false)
            .bind(filter.to_json())
            .fetch_all(conn)
            .await
            .map_err(|error| Error::postgres(DOING, error))?;
    parse(DOING, rows)
}

/// Gives letters up for good; what waits behind them goes on. Returns how many. The rows stay.
///
/// # Errors
/// The filter takes everything and `all` is false, nothing matches, no reason is given, or the role is not in
/// `outbox_operator`.
pub async fn discard(
    conn: &mut PgConnection,
    filter: &Filter,
    reason: &str,
    all: bool,
) -> Result<i64, Error> {
    sqlx::query_scalar(include_str!("../../../queries/dead_letter/discard.sql"))
        .persistent(false)
        .bind(filter.to_json())
        .bind(reason)
        .bind(all)
        .fetch_one(conn)
        .await
        .map_err(|error| Error::postgres("nothing was discarded", error))
}

/// The newest operations, at most `most`.
///
/// # Errors
/// The view is not there or may not be read.
pub async fn operations(conn: &mut PgConnection, most: i64) -> Result<Vec<Operation>, Error> {
    const DOING: &str = "failed to read outbox_ops.operations";
    let rows: Vec<String> = sqlx::query_scalar(include_str!("../../../queries/dead_letter/operations.sql"))
        .persistent(false)
        .bind(most)
        .fetch_all(conn)
        .await
        .map_err(|error| Error::postgres(DOING, error))?;
    parse(DOING, rows)
}

/// One operation with its progress. None if there is no such number.
///
/// # Errors
/// The view is not there or may not be read.
pub async fn operation(conn: &mut PgConnection, number: i64) -> Result<Option<Operation>, Error> {
    const DOING: &str = "failed to read outbox_ops.operations";
    let row: Option<String> = sqlx::query_scalar(include_str!("../../../queries/dead_letter/operation.sql"))
        .persistent(false)
        .bind(number)
        .fetch_optional(conn)
        .await
        .map_err(|error| Error::postgres(DOING, error))?;
    Ok(parse(DOING, row.into_iter().collect())?.into_iter().next())
}
