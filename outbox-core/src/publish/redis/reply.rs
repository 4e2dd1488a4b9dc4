//! Pure: what an error reply of Redis means for one entry, one stream or the whole server.

use redis::{RedisError, ServerError};

use crate::publish::{Error, Kind};

/// What a refused command says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The id is not above the stream's top: it may have been published before.
    IdTaken,
    /// The stream refuses this and every entry until somebody mends it.
    Stream(String),
    /// The server refuses everything for now.
    Server(String),
    /// The server is set up in a way that cannot work.
    Unfit(String),
}

/// Reads a refusal. The words are those of Redis 6.2 to 8 and Valkey.
pub(super) fn read(error: &ServerError) -> Refusal {
    let code = error.code();
    let details = error.details().unwrap_or("");
    let said = format!("Redis answered {code} {details}");
    match code {
        "ERR" | "ResponseError" if details.contains("equal or smaller than the target stream top item") => {
            Refusal::IdTaken
        }
        "WRONGTYPE" => Refusal::Stream(format!(
            "the key is not a stream: {said}; remove or rename the key, the relay goes on by itself"
        )),
        "NOPERM" => Refusal::Stream(format!(
            "no permission: {said}; grant the relay's user xadd, xrange, get and set on this key"
        )),
        "MOVED" | "ASK" | "CROSSSLOT" => Refusal::Unfit(format!(
            "{said}: the server is a cluster, which is not supported; use a stand-alone Redis"
        )),
        "NOAUTH" | "WRONGPASS" => Refusal::Unfit(format!("{said}: check the user and password of REDIS_URL")),
        // OOM, READONLY, LOADING, BUSY, MASTERDOWN, MISCONF, CLUSTERDOWN, EXECABORT and whatever is new: it holds.
        _ => Refusal::Server(said),
    }
}

/// A failed call as an error: nothing is known about its effect.
pub(super) fn failed(what: &str, error: &RedisError) -> Error {
    let kind = match error.code() {
        Some("NOAUTH" | "WRONGPASS" | "MOVED" | "NOPERM") => Kind::SinkUnfit,
        _ => Kind::SinkDown,
    };
    Error::new(kind, format!("{what}: {error}"))
}
