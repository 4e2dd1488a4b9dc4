//! Looking through the server's keys, a bounded step at a time.

use redis::Value;

use super::reply::{self, Refusal};
use super::value::text;
use crate::publish::{Error, Kind};

/// Keys that one step looks at: ten thousand take Redis a few milliseconds.
const AT_ONCE: usize = 10_000;

/// One step, from a cursor on.
pub(super) fn command(cursor: &str, pattern: &str) -> redis::Cmd {
    let mut command = redis::cmd("SCAN");
    command.arg(cursor).arg("MATCH").arg(pattern);
    command.arg("COUNT").arg(AT_ONCE);
    command
}

/// The keys of a step, and where the next one begins.
pub(super) fn read(answer: &Value) -> Result<(Vec<String>, Option<String>), Error> {
    let unclear = || Error::new(Kind::SinkDown, "Redis gave an unknown answer about its keys");
    match answer {
        Value::Array(parts) => {
            let [next, Value::Array(keys)] = parts.as_slice() else {
                return Err(unclear());
            };
            let next = text(next).ok_or_else(unclear)?;
            Ok((
                keys.iter().filter_map(text).collect(),
                (next != "0").then_some(next),
            ))
        }
        Value::ServerError(error) => match reply::read(error) {
            Refusal::Stream(why) => {
                tracing::warn!(
                    why,
                    "Redis does not let the relay look for streams that this database does not know: grant it scan"
                );
                Ok((Vec::new(), None))
            }
            Refusal::Unfit(why) => Err(Error::new(Kind::SinkUnfit, why)),
            refusal => Err(Error::new(Kind::SinkDown, format!("{refusal:?}"))),
        },
        _ => Err(unclear()),
    }
}
