//! Reading across streams through sqlx.

use futures_util::Stream;
use futures_util::stream;
use sqlx::PgConnection;

use super::page::EventPage;
use super::wanted::EventRead;
use crate::event_store::pg::{event_page, failed};
use crate::event_store::{Cursor, Direction, Error};

const PAGE: &str = include_str!("../../../../queries/event_store/read_events.sql");
const NEWEST: &str = include_str!("../../../../queries/event_store/newest_cursor.sql");

const READING: &str = "reading across streams";
/// As `outbox.read_events` has it.
const EVENTS_MAX: i64 = 10_000;

/// Pages across streams, as they are taken, up to what could be seen when the first of them was read. One page is held at a time.
///
/// On a connection without a transaction each page is a statement of its own, and nothing is held between them.
///
/// # Errors
/// The last item, when the database cannot be read, or the cursor does not fit it.
pub fn read_events<'c>(
    connection: &'c mut PgConnection,
    read: EventRead,
) -> impl Stream<Item = Result<EventPage, Error>> + Send + 'c {
    stream::try_unfold((connection, Some(read)), async |(connection, read)| {
        let Some(read) = read else {
            return Ok::<_, Error>(None);
        };
        let page = read_events_page(connection, &read).await?;
        let next = (!page.is_end).then(|| read.behind(page.cursor.clone()));
        Ok(Some((page, (connection, next))))
    })
}

/// One page across streams.
///
/// # Errors
/// When the database cannot be read, or the cursor does not fit it.
pub async fn read_events_page(connection: &mut PgConnection, read: &EventRead) -> Result<EventPage, Error> {
    let rows = sqlx::query(PAGE)
        .bind(read.cursor.as_ref().map(Cursor::as_str))
        .bind(&read.categories)
        .bind(&read.types)
        .bind(read.until)
        .bind(read.above)
        .bind(read.direction == Direction::Backward)
        .bind(i32::try_from(read.limits.events().min(EVENTS_MAX)).unwrap_or(i32::MAX))
        .bind(read.limits.bytes())
        .fetch_all(connection)
        .await
        .map_err(failed(READING))?;
    event_page(&rows, READING)
}

/// A cursor behind everything that can be seen now: a read from it has what comes from here on, late commits included.
///
/// # Errors
/// When the database cannot be read, or is a standby.
pub async fn newest_cursor(connection: &mut PgConnection) -> Result<Cursor, Error> {
    let text: String = sqlx::query_scalar(NEWEST)
        .fetch_one(connection)
        .await
        .map_err(failed(READING))?;
    text.parse().map_err(|error| Error::shape(READING, error))
}
