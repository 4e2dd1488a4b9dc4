//! Rows of the log as events.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tokio_postgres::Row as PgRow;
use tokio_postgres::types::Type;

use super::session::Session;
use crate::event::{Data, Event, ExtensionValue, extensions_from_json};
use crate::tail::batch::{BoundShare, Row, Share};
use crate::tail::{Error, Kind, StreamId};

const READ_SHARE: &str = include_str!("../../../queries/tail/read_share.sql");
const NEXT_SHARE: &str = include_str!("../../../queries/tail/next_share.sql");

/// The first share of `stream` that is not wholly passed at (`batch_number`, `position`).
pub(crate) async fn next_share(
    session: &Session,
    stream: &StreamId,
    batch_number: i64,
    position: i64,
) -> Result<Option<BoundShare>, Error> {
    let rows = session
        .query(
            NEXT_SHARE,
            &[
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&batch_number, Type::INT8),
                (&position, Type::INT8),
            ],
        )
        .await?;
    rows.first()
        .map(|row| {
            Ok(BoundShare {
                batch_number: get(row, "batch_number")?,
                batch_id: unsigned(get(row, "batch_id")?)?,
                snapshot: snapshot(row, "snapshot")?,
                before: snapshot(row, "snapshot_before")?,
                share: Share {
                    stream: stream.clone(),
                    event_count: get(row, "event_count")?,
                    first_position: get(row, "first_position")?,
                    last_position: get(row, "last_position")?,
                    first_new_position: get(row, "first_new_position")?,
                },
            })
        })
        .transpose()
}

/// The next rows of a share after `position`, at most `rows` of them and about `bytes`.
pub(crate) async fn read_share(
    session: &Session,
    bound: &BoundShare,
    position: i64,
    rows: i64,
    bytes: i64,
) -> Result<Vec<Row>, Error> {
    let share = &bound.share;
    // No new transactions in the share: the first arm has nothing to find.
    let first_new = share.first_new_position.unwrap_or(share.last_position + 1);
    let after = position.max(share.first_position - 1);
    let xmax = bound.before.xmax().to_string();
    let open: Vec<String> = bound.before.open().iter().map(u64::to_string).collect();
    let snapshot = bound.snapshot.to_string();
    let found = session
        .query(
            READ_SHARE,
            &[
                (&share.stream.topic, Type::TEXT),
                (&after, Type::INT8),
                (&share.last_position, Type::INT8),
                (&first_new, Type::INT8),
                (&xmax, Type::TEXT),
                (&open, Type::TEXT_ARRAY),
                (&snapshot, Type::TEXT),
                (&rows, Type::INT8),
                (&bytes, Type::INT8),
            ],
        )
        .await?;
    found.iter().map(event_row).collect()
}

/// Turns a row of the log into an event.
pub(crate) fn event_row(row: &PgRow) -> Result<Row, Error> {
    let id: uuid::Uuid = get(row, "id")?;
    let recorded_at: time::OffsetDateTime = get(row, "recorded_at")?;
    let happened_at: Option<time::OffsetDateTime> = get(row, "time")?;
    let extensions: Option<String> = get(row, "extensions")?;
    let (data, bytes) = payload(row)?;
    let event = Event {
        id: id.to_string(),
        source: get(row, "source")?,
        r#type: get(row, "type")?,
        subject: get(row, "subject")?,
        time: Some(happened_at.unwrap_or(recorded_at)),
        data_content_type: get(row, "data_content_type")?,
        data_schema: get(row, "data_schema")?,
        key: get(row, "key")?,
        recorded_at: Some(recorded_at),
        schema_version: get(row, "schema_version")?,
        correlation_id: get(row, "correlation_id")?,
        causation_id: get(row, "causation_id")?,
        traceparent: get(row, "traceparent")?,
        tracestate: get(row, "tracestate")?,
        previous_id: None,
        extensions: extensions.map_or(Ok(BTreeMap::new()), |text| read_extensions(&text))?,
        data,
    };
    Ok(Row {
        position: get(row, "position")?,
        stream: StreamId::whole(get::<String>(row, "topic")?),
        event,
        bytes: bytes + 512,
    })
}

fn payload(row: &PgRow) -> Result<(Option<Data>, usize), Error> {
    if let Some(text) = get::<Option<String>>(row, "data")? {
        let bytes = text.len();
        let raw = RawValue::from_string(text)
            .map_err(|error| Error::with_source(Kind::Shape, "a stored payload is not JSON", error))?;
        return Ok((Some(Data::Json(raw)), bytes));
    }
    let binary: Option<Vec<u8>> = get(row, "data_binary")?;
    Ok(binary.map_or((None, 0), |binary| {
        let bytes = binary.len();
        (Some(Data::Binary(binary)), bytes)
    }))
}

fn read_extensions(text: &str) -> Result<BTreeMap<String, ExtensionValue>, Error> {
    extensions_from_json(text)
        .map_err(|error| Error::with_source(Kind::Shape, "stored extensions cannot be read", error))
}

pub(crate) fn snapshot(row: &PgRow, column: &str) -> Result<crate::tail::snapshot::Snapshot, Error> {
    get::<String>(row, column)?
        .parse()
        .map_err(|error| Error::with_source(Kind::Shape, format!("column {column} is not a snapshot"), error))
}

pub(crate) fn get<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a PgRow,
    column: &str,
) -> Result<T, Error> {
    row.try_get(column).map_err(|error| {
        Error::with_source(
            Kind::Shape,
            format!("column {column} has another shape than expected"),
            error,
        )
    })
}

/// The stream of a row that names its topic and the slot it is kept under.
pub(crate) fn stream(row: &PgRow) -> Result<StreamId, Error> {
    let slot: i32 = get(row, "partition")?;
    StreamId::from_slot(get::<String>(row, "topic")?, slot)
        .ok_or_else(|| Error::new(Kind::Shape, format!("partition {slot} of a stream cannot be")))
}

pub(crate) fn unsigned(value: i64) -> Result<u64, Error> {
    u64::try_from(value).map_err(|error| Error::with_source(Kind::Shape, "a batch id is negative", error))
}
