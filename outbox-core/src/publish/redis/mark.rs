//! The mark beside a stream: who published to it last.

use redis::{Pipeline, Value};

use super::reply::{self, Refusal};
use super::value::text;
use crate::event::EntryId;
use crate::publish::{Error, Kind, Mark, Marked};

/// Moves a mark: length 1, and an id that a zombie of an earlier batch cannot overwrite.
pub(super) fn mark_command(pipeline: &mut Pipeline, key: &str, mark: &Mark) {
    pipeline
        .cmd("XADD")
        .arg(key)
        .arg("MAXLEN")
        .arg(1)
        .arg(format!("{}-0", mark.batch_id));
    pipeline
        .arg("database")
        .arg(&mark.database_id)
        .arg("epoch")
        .arg(mark.epoch)
        .arg("retention")
        .arg(mark.retention);
}

/// What an answer says about the mark under `key`. An answer that says nothing is never taken for "no mark": that would
/// let a second database, or one that went back in time, publish.
pub(super) fn read_mark(answer: &Value, key: &str) -> Result<Marked, Error> {
    match answer {
        Value::Array(entries) => Ok(match entries.first() {
            None => Marked::Never,
            Some(entry) => parse_mark(entry).map_or_else(
                || Marked::Unreadable(format!("{key} is not a mark of ours; remove or rename the key")),
                Marked::By,
            ),
        }),
        Value::ServerError(error) => match reply::read(error) {
            Refusal::Stream(why) => Ok(Marked::Unreadable(format!("{key}: {why}"))),
            Refusal::Unfit(why) => Err(Error::new(Kind::SinkUnfit, why)),
            refusal => Err(Error::new(Kind::SinkDown, format!("{refusal:?}"))),
        },
        _ => Err(Error::new(
            Kind::SinkDown,
            "Redis gave an unknown answer about a mark",
        )),
    }
}

fn parse_mark(entry: &Value) -> Option<Mark> {
    let Value::Array(parts) = entry else {
        return None;
    };
    let [id, Value::Array(flat)] = parts.as_slice() else {
        return None;
    };
    let id: EntryId = text(id)?.parse().ok()?;
    let field = |name: &str| {
        flat.chunks_exact(2)
            .find(|pair| text(&pair[0]).as_deref() == Some(name))
            .and_then(|pair| text(&pair[1]))
    };
    Some(Mark {
        batch_id: id.batch_id,
        database_id: field("database")?,
        epoch: field("epoch")?.parse().ok()?,
        // Not there in a mark of an older relay.
        retention: field("retention")
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(0),
    })
}
