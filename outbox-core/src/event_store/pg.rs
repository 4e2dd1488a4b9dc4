//! What sqlx says, in the words of this stage.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::{Error, EventPage};

mod columns;

pub(super) use columns::{stored_event, stored_events, stored_events_of};

/// What follows from a statement that failed.
pub(super) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| match error {
        sqlx::Error::Database(refused) => {
            Error::database(doing, &refused.code().unwrap_or_default(), refused.message())
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
            Error::shape(doing, error)
        }
        error => Error::Connection {
            doing,
            source: Box::new(error),
        },
    }
}

/// A version of the database as ours.
pub(super) fn version(told: i64, doing: &'static str) -> Result<u64, Error> {
    u64::try_from(told).map_err(|_| Error::shape(doing, format!("a version {told}")))
}

/// Of rows of `outbox.stored_event`, the last of which is no event and has the cursor.
pub(super) fn event_page(rows: &[PgRow], doing: &'static str) -> Result<EventPage, Error> {
    let Some((last, events)) = rows.split_last() else {
        return Err(Error::shape(doing, "a page without its cursor"));
    };
    let cursor: String = get(last, "next_cursor", doing)?;
    Ok(EventPage {
        events: stored_events(events, doing)?,
        cursor: cursor.parse().map_err(|error| Error::shape(doing, error))?,
        is_end: get(last, "at_end", doing)?,
    })
}

pub(super) fn get<'r, T>(row: &'r PgRow, column: &'static str, doing: &'static str) -> Result<T, Error>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(column).map_err(failed(doing))
}
