//! Reading streams through sqlx.

use futures_util::Stream;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use sqlx::PgConnection;

use super::listing::StreamListing;
use super::one_stream::{Direction, StreamRead};
use crate::event_store::keep::{Standing, standing};
use crate::event_store::pg::{failed, get, stored_events_of, version};
use crate::event_store::{Error, StoredEvent, StreamName};

const FORWARD: &str = include_str!("../../../queries/event_store/read_stream_forward.sql");
const BACKWARD: &str = include_str!("../../../queries/event_store/read_stream_backward.sql");
const LIST: &str = include_str!("../../../queries/event_store/list_streams.sql");
const VERSION: &str = include_str!("../../../queries/event_store/stream_version.sql");

const READING: &str = "reading a stream";
const LISTING: &str = "listing streams";

/// The events of a stream, page by page as they are taken. A stream that is not there has none.
///
/// # Errors
/// The last item, when the database cannot be read, or the stream was given a tombstone.
pub fn read_stream<'c>(
    connection: &'c mut PgConnection,
    read: StreamRead,
) -> impl Stream<Item = Result<StoredEvent, Error>> + Send + 'c {
    let behind = read.behind();
    stream::try_unfold(
        (connection, read, Some(behind)),
        async |(connection, read, behind)| {
            let Some(behind) = behind else {
                return Ok::<_, Error>(None);
            };
            let page = page_behind(connection, &read, behind).await?;
            Ok((!page.events.is_empty())
                .then(|| (stream::iter(page.events).map(Ok), (connection, read, page.next))))
        },
    )
    .try_flatten()
}

/// One page of a stream: the first of what is asked for. Empty: there is nothing more.
///
/// # Errors
/// When the database cannot be read, or the stream was given a tombstone.
pub async fn read_page(connection: &mut PgConnection, read: &StreamRead) -> Result<Vec<StoredEvent>, Error> {
    Ok(first_page(connection, read).await?.events)
}

/// A page, and what is known of what follows.
pub(in crate::event_store) struct Page {
    /// None: there is nothing more.
    pub(in crate::event_store) events: Vec<StoredEvent>,
    /// Behind which version the next one begins; none: there is none.
    pub(in crate::event_store) next: Option<i64>,
    /// Of a page for which no row was found: at which version the stream was after that.
    pub(in crate::event_store) version: Option<u64>,
}

/// The first page of what is asked for.
pub(in crate::event_store) async fn first_page(
    connection: &mut PgConnection,
    read: &StreamRead,
) -> Result<Page, Error> {
    page_behind(connection, read, read.behind()).await
}

async fn page_behind(
    connection: &mut PgConnection,
    read: &StreamRead,
    mut behind: i64,
) -> Result<Page, Error> {
    let sql = match read.direction {
        Direction::Forward => FORWARD,
        Direction::Backward => BACKWARD,
    };
    loop {
        let rows = sqlx::query(sql)
            .bind(read.stream.as_str())
            .bind(behind)
            .bind(read.limits.events())
            .bind(read.limits.bytes())
            .fetch(&mut *connection);
        let (mut page, end) = stored_events_of(rows, &read.stream, READING).await?;
        if read.direction == Direction::Forward {
            // The server need not sort what it nearly always finds in order, and what is in order is sorted here by a look at it.
            page.sort_by_key(|event| event.version);
        }
        let (Some(last), Some(end)) = (page.last(), end) else {
            // Nothing: the end, or it was buried, before the read or in the middle of it.
            let version = match standing(connection, &read.stream).await? {
                Standing::Gone { .. } => {
                    return Err(Error::Gone {
                        stream: read.stream.clone(),
                    });
                }
                Standing::Present { version, .. } => version,
                Standing::Absent => 0,
            };
            return Ok(Page {
                events: page,
                next: None,
                version: Some(version),
            });
        };
        behind = i64::try_from(last.version).unwrap_or(i64::MAX);
        let is_over = read.keep(&mut page) || behind == end;
        if is_over || !page.is_empty() {
            return Ok(Page {
                events: page,
                next: (!is_over).then_some(behind),
                version: None,
            });
        }
    }
}

/// At which version a stream is: 0, if it is not there. Nothing is locked: it may move on at once.
///
/// # Errors
/// When the database cannot be read.
pub async fn stream_version(connection: &mut PgConnection, stream: &StreamName) -> Result<u64, Error> {
    let row = sqlx::query(VERSION)
        .bind(stream.as_str())
        .fetch_optional(connection)
        .await
        .map_err(failed(READING))?;
    match row {
        Some(row) => version(get(&row, "version", READING)?, READING),
        None => Ok(0),
    }
}

/// Streams in the order of their names: of one category or of all, behind a name (empty: from the first on), up to so many.
///
/// # Errors
/// When the database cannot be read.
pub async fn list_streams(
    connection: &mut PgConnection,
    category: Option<&str>,
    behind: &str,
    at_most: u32,
) -> Result<Vec<StreamListing>, Error> {
    let rows = sqlx::query(LIST)
        .bind(category)
        .bind(behind)
        .bind(i64::from(at_most))
        .fetch_all(connection)
        .await
        .map_err(failed(LISTING))?;
    rows.iter()
        .map(|row| {
            let name: String = get(row, "name", LISTING)?;
            Ok(StreamListing {
                name: name.parse().map_err(|error| Error::shape(LISTING, error))?,
                version: version(get(row, "version", LISTING)?, LISTING)?,
                first_version: version(get(row, "first_version", LISTING)?, LISTING)?,
                created_at: get(row, "created_at", LISTING)?,
                recorded_at: get(row, "recorded_at", LISTING)?,
            })
        })
        .collect()
}
