//! What is on a Redis stream, read directly and to the end.

use std::collections::HashMap;
use std::fmt;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamRangeReply};
use serde_json::Value;
use uuid::Uuid;

use crate::{Failure, Result};

const PAGE: usize = 5000;
const FIELD: &str = "event";

/// Id of an entry: batch id and position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u64, pub u64);

impl EntryId {
    /// Reads `<batch_id>-<position>`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (batch, position) = text.split_once('-')?;
        Some(Self(batch.parse().ok()?, position.parse().ok()?))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

/// One entry in structured mode.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its id on the stream.
    pub id: EntryId,
    /// The id of its event.
    pub event_id: Uuid,
    /// The id of the entry before it, as it says; none for the first of a stream.
    pub previous_id: Option<EntryId>,
    /// The bytes of the field `event`.
    pub json: String,
}

impl Entry {
    /// An attribute or an extension of the event, if it is a string.
    ///
    /// # Errors
    /// When the entry is not JSON.
    pub fn attribute(&self, name: &str) -> Result<Option<String>> {
        let event: HashMap<String, Value> = serde_json::from_str(&self.json)?;
        Ok(event.get(name).and_then(Value::as_str).map(str::to_owned))
    }

    /// True when the relay wrote it for consumers and no producer appended it.
    #[must_use]
    pub fn is_control(&self) -> bool {
        matches!(self.attribute("type"), Ok(Some(kind)) if kind.starts_with("outbox."))
    }
}

/// Every entry of a stream, in order; none when there is no such stream.
///
/// # Errors
/// When Redis does not answer or an entry is not a CloudEvent in structured mode.
pub async fn entries(redis: &mut MultiplexedConnection, stream: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut after = "-".to_owned();
    loop {
        let page: StreamRangeReply = redis::cmd("XRANGE")
            .arg(stream)
            .arg(&after)
            .arg("+")
            .arg("COUNT")
            .arg(PAGE)
            .query_async(redis)
            .await?;
        let Some(last) = page.ids.last() else {
            return Ok(entries);
        };
        after = format!("({}", last.id);
        entries.extend(parse_page(stream, &page)?);
    }
}

/// The entries of an answer about a stream.
///
/// # Errors
/// When one is not a CloudEvent in structured mode.
pub fn parse_page(stream: &str, page: &StreamRangeReply) -> Result<Vec<Entry>> {
    let entry = |entry: &StreamId| {
        let json: String = entry
            .get(FIELD)
            .ok_or_else(|| Failure::new(format!("entry {} of {stream} has no field `{FIELD}`", entry.id)))?;
        parse(&entry.id, json)
    };
    page.ids.iter().map(entry).collect()
}

/// Every stream of a topic, whatever number of partitions it has or had, with everything on it.
///
/// # Errors
/// When Redis does not answer or an entry is not a CloudEvent in structured mode.
pub async fn of_topic(redis: &mut MultiplexedConnection, topic: &str) -> Result<Vec<(String, Vec<Entry>)>> {
    let mut streams = Vec::new();
    for key in keys_of_topic(redis, topic).await? {
        let entries = entries(redis, &key).await?;
        streams.push((key, entries));
    }
    Ok(streams)
}

/// The keys of a topic's streams, with the default prefix.
///
/// # Errors
/// When Redis does not answer.
pub async fn keys_of_topic(redis: &mut MultiplexedConnection, topic: &str) -> Result<Vec<String>> {
    let whole = format!("outbox:{topic}");
    let mut keys: Vec<String> = redis::cmd("KEYS")
        .arg(format!("{whole}:*"))
        .query_async(redis)
        .await?;
    if redis::cmd("EXISTS").arg(&whole).query_async(redis).await? {
        keys.push(whole);
    }
    keys.sort();
    Ok(keys)
}

/// How often a command was called there, by whomever: a signal of what a relay did, on a server of its own.
///
/// # Errors
/// When Redis does not answer.
pub async fn calls(redis: &mut MultiplexedConnection, command: &str) -> Result<u64> {
    let said: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await?;
    let name = format!("cmdstat_{command}:calls=");
    let calls = said
        .lines()
        .find_map(|line| line.strip_prefix(&name)?.split(',').next());
    Ok(calls.map_or(Ok(0), str::parse)?)
}

/// How many entries a stream has.
///
/// # Errors
/// When Redis does not answer.
pub async fn length(redis: &mut MultiplexedConnection, stream: &str) -> Result<u64> {
    Ok(redis::cmd("XLEN").arg(stream).query_async(redis).await?)
}

fn parse(id: &str, json: String) -> Result<Entry> {
    let wrong = |what: &str| {
        Failure::new(format!(
            "entry {id}: {what}: {}",
            json.chars().take(300).collect::<String>()
        ))
    };
    let event: Value = serde_json::from_str(&json)?;
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let event_id = text("id")
        .and_then(|id| Uuid::parse_str(id).ok())
        .ok_or_else(|| wrong("has no UUID as id"))?;
    let previous_id = match text("previousid") {
        None | Some("" | "0-0") => None,
        Some(previous) => {
            Some(EntryId::parse(previous).ok_or_else(|| wrong("has a previousid that is no entry id"))?)
        }
    };
    let id = EntryId::parse(id).ok_or_else(|| wrong("has an odd entry id"))?;
    Ok(Entry {
        id,
        event_id,
        previous_id,
        json,
    })
}
