//! Keeping through sqlx.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres};

use super::standing::{Chunk, Standing};
use crate::event_store::pg::{failed, get, version};
use crate::event_store::{Error, StreamName};

const STANDING: &str = include_str!("../../../queries/event_store/stream_standing.sql");
const ARCHIVE: &str = include_str!("../../../queries/event_store/archive_stream.sql");
const RESTORE: &str = include_str!("../../../queries/event_store/restore_stream.sql");
const TRUNCATE: &str = include_str!("../../../queries/event_store/truncate_stream.sql");
const TOMBSTONE: &str = include_str!("../../../queries/event_store/tombstone_stream.sql");

const LOOKING: &str = "looking where a stream stands";
const KEEPING: &str = "keeping a stream";

type Query<'q> = sqlx::query::Query<'q, Postgres, sqlx::postgres::PgArguments>;

/// Where a stream stands.
///
/// # Errors
/// When the database cannot be read.
pub async fn standing(connection: &mut PgConnection, stream: &StreamName) -> Result<Standing, Error> {
    let row = sqlx::query(STANDING)
        .bind(stream.as_str())
        .fetch_optional(connection)
        .await
        .map_err(failed(LOOKING))?;
    let Some(row) = row else {
        return Ok(Standing::Absent);
    };
    let at = |column| optional_version(&row, column);
    let last = at("version")?.unwrap_or(0);
    if get(&row, "gone", LOOKING)? {
        return Ok(Standing::Gone { version: last });
    }
    Ok(Standing::Present {
        version: last,
        first_version: at("first_version")?,
        archived_through: at("archived_through")?,
    })
}

/// Moves the oldest events of a stream, up to a version (none: all) and up to `max` of them, out of the hot piece. Reads find them
/// as before. Call it until it is finished.
///
/// # Errors
/// When the stream is not there, something is not yet published, or the connection has not the rights of `outbox_maintainer`.
pub async fn archive_stream(
    connection: &mut PgConnection,
    stream: &StreamName,
    through: Option<u64>,
    reason: &str,
    max: u32,
) -> Result<Chunk, Error> {
    let query = sqlx::query(ARCHIVE)
        .bind(stream.as_str())
        .bind(through.map(told))
        .bind(reason)
        .bind(size(max));
    chunk(connection, query).await
}

/// Moves what is in the archive back, the newest first. Call it until it is finished.
///
/// # Errors
/// As [`archive_stream`].
pub async fn restore_stream(
    connection: &mut PgConnection,
    stream: &StreamName,
    reason: &str,
    max: u32,
) -> Result<Chunk, Error> {
    let query = sqlx::query(RESTORE)
        .bind(stream.as_str())
        .bind(reason)
        .bind(size(max));
    chunk(connection, query).await
}

/// Deletes the events before a version for good, those in the archive too. Their ids are forgotten: an append of the same events
/// is not recognised any more. Call it until it is finished.
///
/// # Errors
/// As [`archive_stream`], and when the stream has not come to that version.
pub async fn truncate_stream(
    connection: &mut PgConnection,
    stream: &StreamName,
    before_version: u64,
    reason: &str,
    max: u32,
) -> Result<Chunk, Error> {
    let query = sqlx::query(TRUNCATE)
        .bind(stream.as_str())
        .bind(told(before_version))
        .bind(reason)
        .bind(size(max));
    chunk(connection, query).await
}

/// Deletes all events of a stream for good, and has it take no more: from the first call on it is gone for appends and reads. Call it
/// until it is finished, also after a call that was refused: that leaves it buried.
///
/// # Errors
/// As [`archive_stream`]; the first time if any of its events may not go.
pub async fn tombstone_stream(
    connection: &mut PgConnection,
    stream: &StreamName,
    reason: &str,
    max: u32,
) -> Result<Chunk, Error> {
    let query = sqlx::query(TOMBSTONE)
        .bind(stream.as_str())
        .bind(reason)
        .bind(size(max));
    chunk(connection, query).await
}

async fn chunk(connection: &mut PgConnection, query: Query<'_>) -> Result<Chunk, Error> {
    let row = query.fetch_one(connection).await.map_err(failed(KEEPING))?;
    let events: i64 = get(&row, "events", KEEPING)?;
    Ok(Chunk {
        events: version(events, KEEPING)?,
        is_finished: get(&row, "finished", KEEPING)?,
    })
}

fn optional_version(row: &PgRow, column: &'static str) -> Result<Option<u64>, Error> {
    get::<Option<i64>>(row, column, LOOKING)?
        .map(|told| version(told, LOOKING))
        .transpose()
}

/// As the database takes it. What no stream can have stays what none has.
fn told(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// The database refuses what is too many, and says so.
fn size(max: u32) -> i32 {
    i32::try_from(max).unwrap_or(i32::MAX)
}
