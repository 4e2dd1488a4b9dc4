//! Rows of `outbox.stored_event` as events. Where each column is, is looked up once for all rows of a statement.

use std::collections::BTreeMap;

use futures_util::{Stream, TryStreamExt as _};
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::{Column as _, Row as _};
use time::OffsetDateTime;

use super::{failed, get, version};
use crate::event::{Data, Event, extensions_from_json};
use crate::event_store::{Error, StoredEvent, StreamName};

/// Where the columns of `outbox.stored_event` are in the rows of a statement; extensions as text.
struct Columns {
    position: usize,
    recorded_at: usize,
    /// None: all are of one stream, which is known.
    stream: Option<usize>,
    version: usize,
    id: usize,
    source: usize,
    r#type: usize,
    subject: usize,
    time: usize,
    data_content_type: usize,
    data_schema: usize,
    schema_version: usize,
    correlation_id: usize,
    causation_id: usize,
    traceparent: usize,
    tracestate: usize,
    extensions: usize,
    tags: usize,
    topic: usize,
    data: usize,
    data_binary: usize,
    archived: usize,
    doing: &'static str,
}

/// Events of these rows, in their order.
pub(in crate::event_store) fn stored_events(
    rows: &[PgRow],
    doing: &'static str,
) -> Result<Vec<StoredEvent>, Error> {
    let Some(first) = rows.first() else {
        return Ok(Vec::new());
    };
    let columns = Columns::of(first, doing)?;
    let mut events: Vec<StoredEvent> = Vec::with_capacity(rows.len());
    for row in rows {
        let name = columns.name(row)?;
        // Mostly that of the row before.
        let stream = match events.last() {
            Some(last) if last.stream.as_str() == name => last.stream.clone(),
            _ => name.parse().map_err(|error| Error::shape(doing, error))?,
        };
        events.push(columns.event(row, stream)?);
    }
    Ok(events)
}

/// Events of these rows, which are all of this stream, in their order, and what each of them says of its end; none, where there is no row.
/// They are made while the server still sends: that takes as long as making the rows, and is on another core.
pub(in crate::event_store) async fn stored_events_of(
    mut rows: impl Stream<Item = Result<PgRow, sqlx::Error>> + Unpin,
    stream: &StreamName,
    doing: &'static str,
) -> Result<(Vec<StoredEvent>, Option<i64>), Error> {
    let Some(first) = rows.try_next().await.map_err(failed(doing))? else {
        return Ok((Vec::new(), None));
    };
    let columns = Columns::of(&first, doing)?;
    let end = get(&first, "end_version", doing)?;
    let mut events = vec![columns.event(&first, stream.clone())?];
    while let Some(row) = rows.try_next().await.map_err(failed(doing))? {
        events.push(columns.event(&row, stream.clone())?);
    }
    Ok((events, Some(end)))
}

/// The event of a row.
pub(in crate::event_store) fn stored_event(row: &PgRow, doing: &'static str) -> Result<StoredEvent, Error> {
    let columns = Columns::of(row, doing)?;
    let name = columns.name(row)?;
    columns.event(row, name.parse().map_err(|error| Error::shape(doing, error))?)
}

impl Columns {
    fn of(row: &PgRow, doing: &'static str) -> Result<Self, Error> {
        let at = |name: &str| {
            let found = row.columns().iter().position(|column| column.name() == name);
            found.ok_or_else(|| Error::shape(doing, format!("rows without a column {name}")))
        };
        Ok(Self {
            position: at("position")?,
            recorded_at: at("recorded_at")?,
            stream: at("stream").ok(),
            version: at("version")?,
            id: at("id")?,
            source: at("source")?,
            r#type: at("type")?,
            subject: at("subject")?,
            time: at("time")?,
            data_content_type: at("data_content_type")?,
            data_schema: at("data_schema")?,
            schema_version: at("schema_version")?,
            correlation_id: at("correlation_id")?,
            causation_id: at("causation_id")?,
            traceparent: at("traceparent")?,
            tracestate: at("tracestate")?,
            extensions: at("extensions")?,
            tags: at("tags")?,
            topic: at("topic")?,
            data: at("data")?,
            data_binary: at("data_binary")?,
            archived: at("archived")?,
            doing,
        })
    }

    fn name<'r>(&self, row: &'r PgRow) -> Result<&'r str, Error> {
        let at = self
            .stream
            .ok_or_else(|| Error::shape(self.doing, "rows without a column stream"))?;
        self.get(row, at)
    }

    fn get<'r, T>(&self, row: &'r PgRow, at: usize) -> Result<T, Error>
    where
        T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        row.try_get(at).map_err(failed(self.doing))
    }

    fn event(&self, row: &PgRow, stream: StreamName) -> Result<StoredEvent, Error> {
        let recorded_at: OffsetDateTime = self.get(row, self.recorded_at)?;
        let happened_at: Option<OffsetDateTime> = self.get(row, self.time)?;
        let id: uuid::Uuid = self.get(row, self.id)?;
        let extensions: Option<&str> = self.get(row, self.extensions)?;
        let event = Event {
            id: id.to_string(),
            source: self.get(row, self.source)?,
            r#type: self.get(row, self.r#type)?,
            subject: self.get(row, self.subject)?,
            time: Some(happened_at.unwrap_or(recorded_at)),
            data_content_type: self.get(row, self.data_content_type)?,
            data_schema: self.get(row, self.data_schema)?,
            key: Some(stream.to_string()),
            recorded_at: Some(recorded_at),
            schema_version: self.get(row, self.schema_version)?,
            correlation_id: self.get(row, self.correlation_id)?,
            causation_id: self.get(row, self.causation_id)?,
            traceparent: self.get(row, self.traceparent)?,
            tracestate: self.get(row, self.tracestate)?,
            previous_id: None,
            extensions: match extensions {
                Some(text) => extensions_from_json(text).map_err(|error| Error::shape(self.doing, error))?,
                None => BTreeMap::new(),
            },
            data: self.data_of(row)?,
        };
        Ok(StoredEvent {
            stream,
            version: version(self.get(row, self.version)?, self.doing)?,
            position: self.get(row, self.position)?,
            recorded_at,
            tags: self
                .get::<Option<Vec<String>>>(row, self.tags)?
                .unwrap_or_default(),
            topic: self.get(row, self.topic)?,
            is_archived: self.get(row, self.archived)?,
            event,
        })
    }

    /// The payload. Postgres has checked that the text is JSON.
    fn data_of(&self, row: &PgRow) -> Result<Option<Data>, Error> {
        if let Some(json) = self.get::<Option<String>>(row, self.data)? {
            let raw = RawValue::from_string(json).map_err(|error| {
                Error::shape(
                    self.doing,
                    format!("data that is no JSON, at column {}", error.column()),
                )
            })?;
            return Ok(Some(Data::Json(raw)));
        }
        Ok(self
            .get::<Option<Vec<u8>>>(row, self.data_binary)?
            .map(Data::Binary))
    }
}
