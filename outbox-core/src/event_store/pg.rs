//! What sqlx says, in the words of this stage; and a row of `outbox.stored_event` as an event.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;

use super::{Error, EventPage, StoredEvent, StreamName};
use crate::event::{Data, Event, extensions_from_json};

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

/// Of a row with the columns of `outbox.stored_event`, extensions as text.
pub(super) fn stored_event(row: &PgRow, doing: &'static str) -> Result<StoredEvent, Error> {
    let stream: String = get(row, "stream", doing)?;
    let stream: StreamName = stream.parse().map_err(|error| Error::shape(doing, error))?;
    let recorded_at: OffsetDateTime = get(row, "recorded_at", doing)?;
    let happened_at: Option<OffsetDateTime> = get(row, "time", doing)?;
    let id: uuid::Uuid = get(row, "id", doing)?;
    let extensions: Option<String> = get(row, "extensions", doing)?;
    let tags: Option<Vec<String>> = get(row, "tags", doing)?;
    let event = Event {
        id: id.to_string(),
        source: get(row, "source", doing)?,
        r#type: get(row, "type", doing)?,
        subject: get(row, "subject", doing)?,
        time: Some(happened_at.unwrap_or(recorded_at)),
        data_content_type: get(row, "data_content_type", doing)?,
        data_schema: get(row, "data_schema", doing)?,
        key: Some(stream.to_string()),
        recorded_at: Some(recorded_at),
        schema_version: get(row, "schema_version", doing)?,
        correlation_id: get(row, "correlation_id", doing)?,
        causation_id: get(row, "causation_id", doing)?,
        traceparent: get(row, "traceparent", doing)?,
        tracestate: get(row, "tracestate", doing)?,
        previous_id: None,
        extensions: match extensions {
            Some(text) => extensions_from_json(&text).map_err(|error| Error::shape(doing, error))?,
            None => BTreeMap::new(),
        },
        data: data(row, doing)?,
    };
    Ok(StoredEvent {
        stream,
        version: version(get(row, "version", doing)?, doing)?,
        position: get(row, "position", doing)?,
        recorded_at,
        tags: tags.unwrap_or_default(),
        topic: get(row, "topic", doing)?,
        is_archived: get(row, "archived", doing)?,
        event,
    })
}

/// Of rows with those columns, the last of which is no event and has the cursor.
pub(super) fn event_page(rows: &[PgRow], doing: &'static str) -> Result<EventPage, Error> {
    let Some((last, events)) = rows.split_last() else {
        return Err(Error::shape(doing, "a page without its cursor"));
    };
    let cursor: String = get(last, "next_cursor", doing)?;
    Ok(EventPage {
        events: events
            .iter()
            .map(|row| stored_event(row, doing))
            .collect::<Result<_, _>>()?,
        cursor: cursor.parse().map_err(|error| Error::shape(doing, error))?,
        is_end: get(last, "at_end", doing)?,
    })
}

/// The payload. Postgres has checked that the text is JSON.
fn data(row: &PgRow, doing: &'static str) -> Result<Option<Data>, Error> {
    if let Some(json) = get::<Option<String>>(row, "data", doing)? {
        let raw = RawValue::from_string(json).map_err(|error| {
            Error::shape(
                doing,
                format!("data that is no JSON, at column {}", error.column()),
            )
        })?;
        return Ok(Some(Data::Json(raw)));
    }
    Ok(get::<Option<Vec<u8>>>(row, "data_binary", doing)?.map(Data::Binary))
}

pub(super) fn get<'r, T>(row: &'r PgRow, column: &'static str, doing: &'static str) -> Result<T, Error>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(column).map_err(failed(doing))
}
