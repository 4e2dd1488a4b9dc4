//! What trimming goes by and leaves behind, in Postgres.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::event::EntryId;
use crate::publish::pg::{Stored, signed};
use crate::publish::trim::{Known, Reader, Seen};
use crate::tail::pg::Session;
use crate::tail::pg::column::{get, stream, unsigned};
use crate::tail::{Error, StreamId};

const STREAM_RULES: &str = include_str!("../../../../queries/publish/stream_rules.sql");
const REGISTER_GROUP: &str = include_str!("../../../../queries/publish/register_group.sql");
const RECORD_FLOOR: &str = include_str!("../../../../queries/publish/record_floor.sql");
const SEE_STREAMS: &str = include_str!("../../../../queries/publish/see_streams.sql");

/// A floor takes two index lookups; its commit may wait for a synchronous standby.
const LONGEST_FLOOR: Duration = Duration::from_secs(30);

/// A stream with what trimming goes by.
#[derive(Debug)]
pub(in crate::publish::upkeep) struct Ruled {
    pub(in crate::publish::upkeep) stream: StreamId,
    pub(in crate::publish::upkeep) known: Known,
    /// The clock that batch ids are of, in milliseconds.
    pub(in crate::publish::upkeep) clock: u64,
}

/// What holds for these streams.
pub(in crate::publish::upkeep) async fn rules(
    session: &Session,
    streams: &[Stored],
) -> Result<Vec<Ruled>, Error> {
    let topics: Vec<&str> = streams
        .iter()
        .map(|stored| stored.stream.topic.as_str())
        .collect();
    let slots: Vec<i32> = streams.iter().map(|stored| stored.stream.slot()).collect();
    let rows = session
        .query(
            STREAM_RULES,
            &[(&topics, Type::TEXT_ARRAY), (&slots, Type::INT4_ARRAY)],
        )
        .await?;
    let mut ruled = Vec::with_capacity(rows.len());
    for row in &rows {
        let stream = stream(row)?;
        if let Some(stored) = streams.iter().find(|stored| stored.stream == stream) {
            ruled.push(Ruled {
                known: known(row, stored.chain)?,
                clock: unsigned(get(row, "clock_ms")?)?,
                stream,
            });
        }
    }
    Ok(ruled)
}

fn known(row: &Row, chain: EntryId) -> Result<Known, Error> {
    let names: Vec<String> = get(row, "forgotten")?;
    let delivered: Vec<Option<String>> = get(row, "delivered")?;
    let delivered = delivered
        .into_iter()
        .map(|text| text.and_then(|text| text.parse().ok()));
    let whole = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    Ok(Known {
        floor: EntryId::new(
            unsigned(get(row, "floor_batch_id")?)?,
            unsigned(get(row, "floor_position")?)?,
        ),
        floor_at: unsigned(get(row, "floor_ms")?)?,
        capped: get(row, "capped")?,
        chain,
        retention: whole(get(row, "retention_ms")?).map(Duration::from_millis),
        cap: whole(get(row, "cap")?),
        registered: get(row, "registered")?,
        expected: get(row, "expected")?,
        forgotten: names.into_iter().zip(delivered).collect(),
    })
}

/// Registers a group that was seen.
pub(in crate::publish::upkeep) async fn register(
    session: &Session,
    stream: &StreamId,
    name: &str,
    delivered: Option<EntryId>,
) -> Result<(), Error> {
    let delivered = delivered.map(|id| id.to_string());
    session
        .query(
            REGISTER_GROUP,
            &[
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&name, Type::TEXT),
                (&delivered, Type::TEXT),
                (&"seen on the stream", Type::TEXT),
            ],
        )
        .await
        .map(drop)
}

/// Why a floor rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::publish::upkeep) enum Cause {
    /// Old enough, and acknowledged.
    Retention,
    /// The hard cap, with so many unread entries.
    Cap(u64),
}

/// Records a floor durably. False when the progress is not above it, or it is no news.
pub(in crate::publish::upkeep) async fn record_floor(
    session: &Session,
    stream: &StreamId,
    floor: EntryId,
    cause: Cause,
    epoch: i64,
) -> Result<bool, Error> {
    let (word, unread) = match cause {
        Cause::Retention => ("retention", 0),
        Cause::Cap(unread) => ("cap", signed(unread)),
    };
    let (batch_id, position) = (signed(floor.batch_id), signed(floor.position));
    let rows = session
        .query_durably(
            RECORD_FLOOR,
            &[
                (&stream.topic, Type::TEXT),
                (&stream.slot(), Type::INT4),
                (&batch_id, Type::INT8),
                (&position, Type::INT8),
                (&word, Type::TEXT),
                (&unread, Type::INT8),
                (&epoch, Type::INT8),
            ],
            LONGEST_FLOOR,
        )
        .await?;
    Ok(!rows.is_empty())
}

/// What is shown of a stream.
#[derive(Debug)]
pub(in crate::publish::upkeep) struct Shown<'a> {
    pub(in crate::publish::upkeep) ruled: &'a Ruled,
    pub(in crate::publish::upkeep) key: &'a str,
    pub(in crate::publish::upkeep) seen: &'a Seen,
    pub(in crate::publish::upkeep) held_by: Option<&'a str>,
}

/// Shows streams to the operators.
pub(in crate::publish::upkeep) async fn show(
    session: &Session,
    shown: &[Shown<'_>],
    epoch: i64,
) -> Result<(), Error> {
    let told: Vec<Value> = shown.iter().map(tell).collect();
    let told = Value::from(told).to_string();
    session
        .query(SEE_STREAMS, &[(&told, Type::TEXT), (&epoch, Type::INT8)])
        .await
        .map(drop)
}

fn tell(shown: &Shown<'_>) -> Value {
    let text = |id: EntryId| (id > EntryId::MIN).then(|| id.to_string());
    json!({
        "topic": shown.ruled.stream.topic,
        "partition": shown.ruled.stream.slot(),
        "stream": shown.key,
        "length": shown.seen.length,
        "memory_bytes": shown.seen.memory,
        "first_entry": shown.seen.first.map(|id| id.to_string()),
        "last_entry": text(shown.ruled.known.chain),
        "groups": shown.seen.readers.iter().map(reader).collect::<Vec<_>>(),
        "held_by": shown.held_by,
    })
}

fn reader(reader: &Reader) -> Value {
    json!({
        "name": reader.name,
        "delivered": reader.delivered.to_string(),
        "pending": reader.pending,
        "lowest": reader.lowest.map(|id| id.to_string()),
    })
}
