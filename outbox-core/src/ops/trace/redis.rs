//! Asks Redis whether an entry is on its stream.

use redis::aio::ConnectionLike;
use redis::streams::StreamRangeReply;

use super::step::Presence;
use crate::event::EntryId;
use crate::ops::Error;

/// Whether the entry is there; if not, whether it was trimmed. Payloads of entries are read and dropped.
///
/// # Errors
/// The server does not answer, or may not be asked.
pub async fn presence<C: ConnectionLike>(
    connection: &mut C,
    stream: &str,
    entry: EntryId,
) -> Result<Presence, Error> {
    let id = entry.to_string();
    if !range(connection, stream, &id, &id).await?.ids.is_empty() {
        return Ok(Presence::Present);
    }
    let rest = range(connection, stream, "-", "+").await?;
    let first = rest
        .ids
        .first()
        .and_then(|first| first.id.parse::<EntryId>().ok());
    Ok(match first {
        Some(first) if entry < first => Presence::Trimmed,
        _ => Presence::Missing,
    })
}

async fn range<C: ConnectionLike>(
    connection: &mut C,
    stream: &str,
    from: &str,
    to: &str,
) -> Result<StreamRangeReply, Error> {
    let mut ask = redis::cmd("XRANGE");
    ask.arg(stream).arg(from).arg(to).arg("COUNT").arg(1);
    ask.query_async(connection)
        .await
        .map_err(|error| Error::redis("the entry", error))
}
