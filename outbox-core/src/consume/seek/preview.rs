//! What a seek would do, before anybody does it.

use super::plan::{missing, place};
use super::request::{Ends, Prepared, Request, prepare};
use crate::consume::Error;
use crate::event::EntryId;

/// SQLSTATE of a statement that took longer than the server allows.
const CANCELLED: &str = "57014";

/// What a seek would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// Everything behind this entry would be read again.
    pub behind: EntryId,
    /// Whether the group is not known in this database yet.
    pub is_new: bool,
    /// Each stream of the topic.
    pub streams: Vec<StreamPreview>,
    /// How many of these events are finished: duplicates without a second effect, or effects that would happen again. None
    /// when counting takes too long.
    pub finished: Option<u64>,
    /// Keys that wait.
    pub parked_keys: u64,
    /// Why it is refused, if it is.
    pub refusal: Option<String>,
}

/// What a seek would do to one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPreview {
    /// Its key.
    pub stream: String,
    /// How far the group came.
    pub passed: Option<EntryId>,
    /// Entries that would be read again from the stream.
    pub on_stream: u64,
    /// Whether there are more than were counted.
    pub has_more: bool,
    /// Whether older ones are no longer on the stream.
    pub is_trimmed: bool,
    /// About how many of those the log has; none without a log that writes this stream.
    pub in_log: Option<u64>,
}

/// Says what a seek would do. Changes nothing.
///
/// # Errors
/// A server cannot be asked, or the event is not known.
pub async fn preview(ends: &Ends, request: &Request) -> Result<Preview, Error> {
    let mut prepared = prepare(ends, request).await?;
    let mut streams = Vec::with_capacity(prepared.streams.len());
    for (stream, passed) in prepared.streams.clone() {
        let front = prepared.redis.front(&stream.key).await?;
        let end = prepared.redis.last(&stream.key).await?;
        let behind = place(prepared.behind, end, prepared.known.now_ms);
        let (on_stream, has_more) = prepared.redis.count(&stream.key, behind).await?;
        let missing = missing(behind, front);
        let in_log = match missing {
            Some(missing) => {
                prepared
                    .source
                    .count(&stream, missing.behind, missing.until)
                    .await?
            }
            None => Some(0),
        };
        streams.push(StreamPreview {
            stream: stream.key,
            passed,
            on_stream,
            has_more,
            is_trimmed: missing.is_some(),
            in_log,
        });
    }
    Ok(Preview {
        behind: prepared.behind,
        is_new: !prepared.known.is_known,
        finished: finished(&prepared).await?,
        streams,
        parked_keys: prepared.known.parked_keys,
        refusal: prepared.refusal,
    })
}

/// Counting walks over the whole inbox: where that takes too long, it is not known.
async fn finished(prepared: &Prepared) -> Result<Option<u64>, Error> {
    let streams: Vec<String> = prepared
        .streams
        .iter()
        .map(|(stream, _)| stream.key.clone())
        .collect();
    match prepared.group.finished(&streams, prepared.behind).await {
        Ok(count) => Ok(Some(count)),
        Err(Error::Slow { .. }) => Ok(None),
        Err(Error::Postgres { code: Some(code), .. }) if code == CANCELLED => Ok(None),
        Err(error) => Err(error),
    }
}
