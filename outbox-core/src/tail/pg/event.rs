//! Rows of the log as events. Where each column is, is looked up once for all rows of a statement, and the texts of a row are
//! borrowed from what the server sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use time::OffsetDateTime;
use tokio_postgres::Row as PgRow;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::column::value;
use crate::event::{DataView, ExtensionValue, View, extensions_from_json};
use crate::tail::batch::ROW_BYTES;
use crate::tail::row::{Content, Row};
use crate::tail::{Error, Kind, StreamId, partition_of};

/// Where the columns of `outbox.log` are: by name it would be a search for each value of each row.
pub(super) struct Columns {
    position: usize,
    /// Not there where all rows are of one topic.
    topic: Option<usize>,
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
    /// Not there where every payload comes along.
    is_wide: Option<usize>,
}

impl Columns {
    pub(super) fn of(row: &PgRow) -> Result<Self, Error> {
        let find = |name: &str| row.columns().iter().position(|column| column.name() == name);
        let at = |name: &str| {
            find(name).ok_or_else(|| Error::new(Kind::Shape, format!("rows without a column {name}")))
        };
        Ok(Self {
            position: at("position")?,
            topic: find("topic"),
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
            is_wide: find("is_wide"),
        })
    }
}

/// What a row says, with room for what its event borrows besides.
pub(super) struct Read<'a> {
    pub(super) position: i64,
    pub(super) id: Uuid,
    pub(super) recorded_at: OffsetDateTime,
    happened_at: Option<OffsetDateTime>,
    /// For bounds.
    pub(super) bytes: usize,
    row: &'a PgRow,
    at: &'a Columns,
    id_text: [u8; Hyphenated::LENGTH],
    extensions: Option<BTreeMap<String, ExtensionValue>>,
    data: Option<DataView<'a>>,
    /// Why no event can be made of it.
    broken: Option<&'static str>,
}

const DATA: &str = "its data is not JSON";
const EXTENSIONS: &str = "its extensions are no JSON object";
const TIME: &str = "its time is in no year of 1 to 9999";

impl<'a> Read<'a> {
    pub(super) fn of(row: &'a PgRow, at: &'a Columns) -> Result<Self, Error> {
        let id: Uuid = value(row, at.id)?;
        let mut id_text = [0; Hyphenated::LENGTH];
        id.hyphenated().encode_lower(&mut id_text);
        let mut broken = None;
        // The columns take what nobody appends. Without a look it would be published, and be no event to anybody who reads it.
        let extensions = value::<Option<&str>>(row, at.extensions)?.and_then(|text| {
            extensions_from_json(text)
                .map_err(|_| broken = Some(EXTENSIONS))
                .ok()
        });
        let data = match value::<Option<&str>>(row, at.data)? {
            // Without what stands around it: that is no part of the value.
            Some(text) => match serde_json::from_str::<&RawValue>(text) {
                Ok(value) => Some(DataView::Json(value.get())),
                Err(_) => {
                    broken = Some(DATA);
                    None
                }
            },
            None => value::<Option<&[u8]>>(row, at.data_binary)?.map(DataView::Binary),
        };
        // A timestamp of Postgres may be infinite, or in a year that is written otherwise.
        let is_written = |time: &OffsetDateTime| (1..=9999).contains(&time.year());
        let mut known = |time: Option<OffsetDateTime>| {
            if time.is_none() {
                broken = Some(TIME);
            }
            time
        };
        let recorded_at = known(value(row, at.recorded_at).ok().filter(is_written));
        let happened_at = known(match value::<Option<OffsetDateTime>>(row, at.time) {
            Ok(None) => recorded_at,
            Ok(Some(time)) => Some(time).filter(is_written),
            Err(_) => None,
        });
        Ok(Self {
            position: value(row, at.position)?,
            id,
            recorded_at: recorded_at.unwrap_or(OffsetDateTime::UNIX_EPOCH),
            happened_at,
            bytes: data.map_or(0, |data| data.as_bytes().len()) + ROW_BYTES as usize,
            row,
            at,
            id_text,
            extensions,
            data,
            broken,
        })
    }

    /// The topic, where the statement tells it.
    pub(super) fn topic(&self) -> Result<Option<&'a str>, Error> {
        self.at.topic.map(|at| value(self.row, at)).transpose()
    }

    /// The payload was left out, since it is too large to come with so many others.
    pub(super) fn is_left_out(&self) -> Result<bool, Error> {
        let is_wide: Option<Option<bool>> = self.at.is_wide.map(|at| value(self.row, at)).transpose()?;
        Ok(is_wide.flatten() == Some(true))
    }

    /// What its partition goes by.
    pub(super) fn key(&self) -> Result<&str, Error> {
        Ok(value::<Option<&str>>(self.row, self.at.key)?.unwrap_or(self.id_text()))
    }

    fn id_text(&self) -> &str {
        std::str::from_utf8(&self.id_text).unwrap_or_default()
    }

    /// What it is instead, if no event can be made of it.
    pub(super) fn broken(&self) -> Option<Content> {
        self.broken.map(|why| Content::Broken {
            id: self.id,
            recorded_at: self.recorded_at,
            why,
        })
    }

    /// The event, borrowed.
    pub(super) fn view(&self) -> Result<View<'_>, Error> {
        let (row, at) = (self.row, self.at);
        Ok(View {
            id: self.id_text(),
            source: value(row, at.source)?,
            r#type: value(row, at.r#type)?,
            subject: value(row, at.subject)?,
            time: Some(self.happened_at.unwrap_or(self.recorded_at)),
            data_content_type: value(row, at.data_content_type)?,
            data_schema: value(row, at.data_schema)?,
            key: value(row, at.key)?,
            recorded_at: Some(self.recorded_at),
            schema_version: value(row, at.schema_version)?,
            correlation_id: value(row, at.correlation_id)?,
            causation_id: value(row, at.causation_id)?,
            traceparent: value(row, at.traceparent)?,
            tracestate: value(row, at.tracestate)?,
            previous_id: None,
            extensions: self.extensions.as_ref(),
            data: self.data,
        })
    }
}

/// Turns rows of the log that name their topics into events for their streams; `partitions` says how many a topic has.
pub(crate) fn event_rows<'a>(
    rows: impl IntoIterator<Item = &'a PgRow>,
    partitions: impl Fn(&str) -> u16,
) -> Result<Vec<Row>, Error> {
    let mut rows = rows.into_iter().peekable();
    let Some(first) = rows.peek() else {
        return Ok(Vec::new());
    };
    let columns = Columns::of(first)?;
    let mut last: Option<Arc<StreamId>> = None;
    rows.map(|row| {
        let read = Read::of(row, &columns)?;
        let topic = read
            .topic()?
            .ok_or_else(|| Error::new(Kind::Shape, "rows without a column topic"))?;
        let partition = partition(&read, partitions(topic))?;
        let same = last
            .take()
            .filter(|stream| stream.partition == partition && stream.topic == topic);
        let stream = same.unwrap_or_else(|| {
            Arc::new(StreamId {
                topic: topic.to_owned(),
                partition,
            })
        });
        last = Some(stream.clone());
        event_row(&read, stream)
    })
    .collect()
}

/// The partition of a row in a topic that has so many.
pub(super) fn partition(read: &Read<'_>, partitions: u16) -> Result<Option<u16>, Error> {
    (partitions > 1)
        .then(|| Ok(partition_of(read.key()?, partitions)))
        .transpose()
}

/// A row whose event is written when it is packed.
pub(super) fn event_row(read: &Read<'_>, stream: Arc<StreamId>) -> Result<Row, Error> {
    let content = match read.broken() {
        Some(broken) => broken,
        None => {
            let event = read.view()?.to_event();
            Content::Event(Box::new(event.map_err(|error| {
                Error::with_source(Kind::Shape, "a stored payload is not JSON", error)
            })?))
        }
    };
    Ok(Row {
        position: read.position,
        stream,
        content,
        bytes: read.bytes,
    })
}
