//! What is on a stream, read from the wire without the library.

use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::expected::Entry;
use crate::Result;

const PAGE: usize = 500;

#[derive(Deserialize)]
struct Event<'a> {
    r#type: String,
    partitionkey: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// How many entries a topic's stream has.
pub(super) async fn length(redis: &mut MultiplexedConnection, topic: &str) -> Result<u64> {
    Ok(redis::cmd("XLEN")
        .arg(format!("outbox:{topic}"))
        .query_async(redis)
        .await?)
}

/// All entries of a topic's stream, in order.
pub(super) async fn entries(redis: &mut MultiplexedConnection, topic: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut from = "-".to_owned();
    loop {
        let page: StreamRangeReply = redis::cmd("XRANGE")
            .arg(format!("outbox:{topic}"))
            .arg(&from)
            .arg("+")
            .arg("COUNT")
            .arg(PAGE)
            .query_async(redis)
            .await?;
        let Some(last) = page.ids.last() else {
            return Ok(entries);
        };
        from = format!("({}", last.id);
        for entry in &page.ids {
            let json: String = entry
                .get("event")
                .ok_or_else(|| format!("entry {} has no field `event`", entry.id))?;
            let event: Event<'_> = serde_json::from_str(&json)?;
            entries.push(Entry {
                kind: event.r#type,
                key: event.partitionkey,
                data: event.data.get().to_owned(),
            });
        }
    }
}
