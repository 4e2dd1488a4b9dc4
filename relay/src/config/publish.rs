//! How events are put on their streams.

use std::time::Duration;

use super::kind::{Bytes, Count, KIB, MIB, Span, Words, one_of};
use super::section::section;

/// One stream's share of a round trip: MULTI costs 5 to 8 % at this size, less is slower, more holds memory.
pub const DEFAULT_SHARE_ROWS: usize = 500;
/// One stream's share in bytes; bounds what a slow server is sent at once.
pub const DEFAULT_SHARE_BYTES: usize = 2 * MIB;
/// Above the hard stop of the log (16 MiB) with envelope and base64, so that what can be appended can be published.
pub const DEFAULT_MAX_ENTRY_BYTES: usize = 24 * MIB;
/// Most trouble is a restart or a failover: try soon.
pub const DEFAULT_BACKOFF_MIN: Duration = Duration::from_millis(50);
/// What an outage's end is noticed after, at most.
pub const DEFAULT_BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Replication takes about a millisecond; a replica that is away for longer than this is away.
pub const DEFAULT_REPLICA_TIMEOUT: Duration = Duration::from_secs(1);

/// A look costs a handful of small commands per stream; what may be trimmed grows slowly.
pub const DEFAULT_LOOK_EVERY: Duration = Duration::from_secs(30);

/// A fraction of what a server takes: the other streams hardly notice, and a million events take less than two minutes.
pub const DEFAULT_REISSUE_RATE: usize = 10_000;

/// How an event becomes an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One field `event` with the whole CloudEvent as JSON.
    Structured,
    /// One field per attribute and one for the data.
    Binary,
}

impl Words for Mode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("structured", Self::Structured), ("binary", Self::Binary)];
}

section! {
    /// How events are put on their streams.
    Publish = "publish" {
        /// CloudEvents content mode: `structured` is one field `event` with JSON, `binary` is one field per attribute and one for the data.
        mode: Mode = Mode::Structured, one_of::<Mode>();
        /// Entries of one stream that are sent together and confirmed before its next ones.
        share_rows: usize = DEFAULT_SHARE_ROWS, Count(1, 10_000);
        /// Bytes of one stream that are sent together, whichever of the two limits is reached first.
        share_bytes: usize = DEFAULT_SHARE_BYTES, Bytes(64 * KIB, 256 * MIB);
        /// An event whose entry is larger sets its topic aside until a person decides. Lower it where the server takes less (`proto-max-bulk-len`, limits of managed services).
        max_entry_bytes: usize = DEFAULT_MAX_ENTRY_BYTES, Bytes(KIB, 512 * MIB);
        /// Replicas of Redis that must have what is sent before it counts as delivered; 0 waits for none. While fewer answer, nothing is published: everything waits in Postgres.
        min_replicas: usize = 0, Count(0, 100);
        /// How long these replicas may take; never longer than half of `redis.response_timeout`.
        replica_timeout: Duration = DEFAULT_REPLICA_TIMEOUT, Span(Duration::from_millis(10), Duration::from_secs(30));
        /// First pause after a failure; it doubles with jitter up to `backoff_max`.
        backoff_min: Duration = DEFAULT_BACKOFF_MIN, Span(Duration::from_millis(1), Duration::from_secs(60));
        /// Longest pause after a failure.
        backoff_max: Duration = DEFAULT_BACKOFF_MAX, Span(Duration::from_millis(10), Duration::from_secs(600));
        /// Events per second that are put out again on streams that lost entries, all of them together; 0 is no bound. What is new on such a stream comes behind them, so a low rate makes it wait.
        reissue_rate: usize = DEFAULT_REISSUE_RATE, Count(0, 100_000_000);
        /// How often the leader looks at the streams: who reads them, how long they are, and what may be trimmed.
        look_every: Duration = DEFAULT_LOOK_EVERY, Span(Duration::from_millis(100), Duration::from_secs(3600));
    }
}
