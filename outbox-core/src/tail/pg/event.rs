//! Rows of the log as events for their streams. Where each column is, is looked up once for all rows of a statement.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tokio_postgres::Row as PgRow;

use super::column::value;
use crate::event::{Data, Event, ExtensionValue, extensions_from_json};
use crate::tail::row::Row;
use crate::tail::{Error, Kind, StreamId};

/// Where the columns of `outbox.log` are: by name it would be a search for each value of each row.
struct Columns {
    position: usize,
    topic: usize,
    key: usize,
    id: usize,
    source: usize,
    r#type: usize,
    subject: usize,
    time: usize,
    recorded_at: usize,
    data_content_type: usize,
    data_schema: usize,
    schema_version: usize,
    correlation_id: usize,
    causation_id: usize,
    traceparent: usize,
    tracestate: usize,
    extensions: usize,
    data: usize,
    data_binary: usize,
}

impl Columns {
    fn of(row: &PgRow) -> Result<Self, Error> {
        let at = |name: &str| {
            let found = row.columns().iter().position(|column| column.name() == name);
            found.ok_or_else(|| Error::new(Kind::Shape, format!("rows without a column {name}")))
        };
        Ok(Self {
            position: at("position")?,
            topic: at("topic")?,
            key: at("key")?,
            id: at("id")?,
            source: at("source")?,
            r#type: at("type")?,
            subject: at("subject")?,
            time: at("time")?,
            recorded_at: at("recorded_at")?,
            data_content_type: at("data_content_type")?,
            data_schema: at("data_schema")?,
            schema_version: at("schema_version")?,
            correlation_id: at("correlation_id")?,
            causation_id: at("causation_id")?,
            traceparent: at("traceparent")?,
            tracestate: at("tracestate")?,
            extensions: at("extensions")?,
            data: at("data")?,
            data_binary: at("data_binary")?,
        })
    }
}

/// Turns rows of the log into events for their streams; `partitions` says how many a topic has.
pub(crate) fn event_rows(rows: &[PgRow], partitions: impl Fn(&str) -> u16) -> Result<Vec<Row>, Error> {
    let Some(first) = rows.first() else {
        return Ok(Vec::new());
    };
    let columns = Columns::of(first)?;
    rows.iter()
        .map(|row| event_row(row, &columns, &partitions))
        .collect()
}

fn event_row(row: &PgRow, at: &Columns, partitions: impl Fn(&str) -> u16) -> Result<Row, Error> {
    let id: uuid::Uuid = value(row, at.id)?;
    let recorded_at: time::OffsetDateTime = value(row, at.recorded_at)?;
    let happened_at: Option<time::OffsetDateTime> = value(row, at.time)?;
    let extensions: Option<&str> = value(row, at.extensions)?;
    let (data, bytes) = payload(row, at)?;
    let event = Event {
        id: id.to_string(),
        source: value(row, at.source)?,
        r#type: value(row, at.r#type)?,
        subject: value(row, at.subject)?,
        time: Some(happened_at.unwrap_or(recorded_at)),
        data_content_type: value(row, at.data_content_type)?,
        data_schema: value(row, at.data_schema)?,
        key: value(row, at.key)?,
        recorded_at: Some(recorded_at),
        schema_version: value(row, at.schema_version)?,
        correlation_id: value(row, at.correlation_id)?,
        causation_id: value(row, at.causation_id)?,
        traceparent: value(row, at.traceparent)?,
        tracestate: value(row, at.tracestate)?,
        previous_id: None,
        extensions: extensions.map_or(Ok(BTreeMap::new()), read_extensions)?,
        data,
    };
    let topic: String = value(row, at.topic)?;
    let count = partitions(&topic);
    let stream = StreamId::of(topic, &event, count);
    Ok(Row {
        position: value(row, at.position)?,
        stream,
        event,
        bytes: bytes + 512,
    })
}

fn payload(row: &PgRow, at: &Columns) -> Result<(Option<Data>, usize), Error> {
    if let Some(text) = value::<Option<String>>(row, at.data)? {
        let bytes = text.len();
        let raw = RawValue::from_string(text)
            .map_err(|error| Error::with_source(Kind::Shape, "a stored payload is not JSON", error))?;
        return Ok((Some(Data::Json(raw)), bytes));
    }
    let binary: Option<Vec<u8>> = value(row, at.data_binary)?;
    Ok(binary.map_or((None, 0), |binary| {
        let bytes = binary.len();
        (Some(Data::Binary(binary)), bytes)
    }))
}

fn read_extensions(text: &str) -> Result<BTreeMap<String, ExtensionValue>, Error> {
    extensions_from_json(text)
        .map_err(|error| Error::with_source(Kind::Shape, "stored extensions cannot be read", error))
}
