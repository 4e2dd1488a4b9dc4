//! Reading by tags and appending under a condition through sqlx.

use futures_util::Stream;
use futures_util::stream;
use sqlx::PgConnection;

use super::condition::Condition;
use super::outcome::{Conditional, Unseen};
use super::read::TaggedRead;
use crate::append::{Limits, NewEvent};
use crate::event_store::append::{Answer, Call};
use crate::event_store::pg::{event_page, failed, get, version};
use crate::event_store::{Cursor, Error, EventPage, Expected, StreamAppend, StreamName};

pub(super) const APPEND_IF: &str = include_str!("../../../queries/event_store/append_if.sql");
const PAGE: &str = include_str!("../../../queries/event_store/read_tagged.sql");

const APPENDING: &str = "appending under a condition";
const READING: &str = "reading by tags";
/// As `outbox.read_tagged` has it.
const EVENTS_MAX: i64 = 10_000;

/// Appends events to one stream if it is where it is expected, and if no event of the condition is there that the read which left
/// this cursor did not see.
///
/// # Errors
/// When an event or the request breaks a rule (nothing is sent then), or the database refuses it. A broken condition is an outcome.
pub async fn append_if(
    connection: &mut PgConnection,
    condition: &Condition,
    cursor: &Cursor,
    stream: &StreamName,
    expected: Expected,
    events: Vec<NewEvent>,
) -> Result<Conditional, Error> {
    let one = StreamAppend {
        stream: stream.clone(),
        expected,
        events,
    };
    append_streams_if(connection, condition, cursor, vec![one]).await
}

/// Appends to several streams under one condition: all of it, or nothing.
///
/// # Errors
/// As [`append_if`].
pub async fn append_streams_if(
    connection: &mut PgConnection,
    condition: &Condition,
    cursor: &Cursor,
    appends: Vec<StreamAppend>,
) -> Result<Conditional, Error> {
    let condition = condition.told()?;
    let asked = appends
        .iter()
        .map(|append| (append.stream.clone(), append.expected))
        .collect();
    let call = Call::of(appends, &Limits::default())?;
    let columns = &call.columns;
    let rows = sqlx::query(APPEND_IF)
        .bind(&call.streams)
        .bind(&call.expected)
        .bind(&call.numbers)
        .bind(&columns.ids)
        .bind(&columns.topics)
        .bind(&columns.types)
        .bind(&columns.sources)
        .bind(&columns.subjects)
        .bind(&columns.times)
        .bind(&columns.data_content_types)
        .bind(&columns.data_schemas)
        .bind(&columns.schema_versions)
        .bind(&columns.correlation_ids)
        .bind(&columns.causation_ids)
        .bind(&columns.traceparents)
        .bind(&columns.tracestates)
        .bind(&columns.extensions)
        .bind(&columns.data)
        .bind(&columns.data_binaries)
        .bind(&columns.tags)
        .bind(condition)
        .bind(cursor.as_str())
        .fetch_all(connection)
        .await
        .map_err(failed(APPENDING))?;
    let mut unseen = None;
    let mut answers = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(position) = get(row, "unseen_position", APPENDING)? {
            unseen = Some(Unseen {
                position,
                event_type: get(row, "unseen_type", APPENDING)?,
            });
        }
        answers.push(Answer {
            outcome: get(row, "outcome", APPENDING)?,
            version: version(get(row, "version", APPENDING)?, APPENDING)?,
            positions: get(row, "positions", APPENDING)?,
        });
    }
    Conditional::of(asked, answers, unseen)
}

/// The events of a condition, page by page as they are taken, up to what could be seen when the first page was read. The cursor of the
/// last page is the one to append with.
///
/// # Errors
/// The last item, when the database cannot be read, or the cursor does not fit it.
pub fn read_tagged<'c>(
    connection: &'c mut PgConnection,
    read: TaggedRead,
) -> impl Stream<Item = Result<EventPage, Error>> + Send + 'c {
    stream::try_unfold((connection, Some(read)), async |(connection, read)| {
        let Some(read) = read else {
            return Ok::<_, Error>(None);
        };
        let page = read_tagged_page(connection, &read).await?;
        let next = (!page.is_end).then(|| read.behind(page.cursor.clone()));
        Ok(Some((page, (connection, next))))
    })
}

/// One page of the events of a condition.
///
/// # Errors
/// When the condition breaks a rule, the database cannot be read, or the cursor does not fit it.
pub async fn read_tagged_page(connection: &mut PgConnection, read: &TaggedRead) -> Result<EventPage, Error> {
    let rows = sqlx::query(PAGE)
        .bind(read.condition.told()?)
        .bind(read.cursor.as_ref().map(Cursor::as_str))
        .bind(i32::try_from(read.limits.events().min(EVENTS_MAX)).unwrap_or(i32::MAX))
        .bind(read.limits.bytes())
        .fetch_all(connection)
        .await
        .map_err(failed(READING))?;
    event_page(&rows, READING)
}
