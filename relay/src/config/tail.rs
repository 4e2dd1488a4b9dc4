//! How the log is tailed.

use std::time::Duration;

use super::kind::{Bytes, Count, KIB, MIB, Span};
use super::section::section;

/// A takeover after a crash takes at most this long and a renewal's delay; shorter costs updates and false alarms.
pub const DEFAULT_LEASE_TTL: Duration = Duration::from_secs(4);
/// The floor under the doorbell: what a lost notification can cost at most.
pub const DEFAULT_SLOW_POLL: Duration = Duration::from_secs(5);
/// One commit and one round trip per batch: large enough that a busy log is not bound by them.
pub const DEFAULT_FIRST_ROWS: usize = 2000;
/// Rows of a huge batch read at once: a statement costs as much to start as some 150 rows of it.
pub const DEFAULT_CHUNK_ROWS: usize = 2000;
/// Bytes of a huge batch held at once; with the chunk in flight this bounds memory.
pub const DEFAULT_CHUNK_BYTES: usize = 4 * MIB;
/// Quick enough not to be seen beside a commit.
pub const DEFAULT_POLL_MIN: Duration = Duration::from_millis(1);
/// Fifty statements a second at most while appenders are in flight and nothing commits.
pub const DEFAULT_POLL_MAX: Duration = Duration::from_millis(20);

/// A stream of small transactions makes batches instead of one flush each.
pub const DEFAULT_PACE: Duration = Duration::from_millis(2);

section! {
    /// How the log is tailed.
    Tail = "tail" {
        /// How long the right to cut batches and to publish lasts without renewal, on the database's clock. It is renewed every quarter of it, every half while there is nothing to cut. A standby leads at most this long after a crash; after a graceful stop it leads at once.
        lease_ttl: Duration = DEFAULT_LEASE_TTL, Span(Duration::from_secs(1), Duration::from_secs(300));
        /// How often the log is looked at when no notification comes.
        slow_poll: Duration = DEFAULT_SLOW_POLL, Span(Duration::from_millis(10), Duration::from_secs(300));
        /// The pause after a batch of many events, in which the next one gathers; after a few the next ones are looked for at once. Longer costs delay and saves flushes; 0 is allowed.
        pace: Duration = DEFAULT_PACE, Span(Duration::ZERO, Duration::from_secs(1));
        /// Rows that come back with the statement that cuts a batch; what is beyond them is read in chunks.
        first_rows: usize = DEFAULT_FIRST_ROWS, Count(1, 100_000);
        /// Most rows per chunk of a batch that is larger than `first_rows`; half as many while there are payloads of which `chunk_bytes` has no room for so many.
        chunk_rows: usize = DEFAULT_CHUNK_ROWS, Count(1, 100_000);
        /// Bytes of payload per chunk, whichever of the two limits is reached first.
        chunk_bytes: usize = DEFAULT_CHUNK_BYTES, Bytes(64 * KIB, 256 * MIB);
        /// A short pause between two looks at the log while an appender is in flight, and with `postgres.listen = false`: the first one is a quarter of it, and each is twice as long as the one before, up to `poll_max`.
        poll_min: Duration = DEFAULT_POLL_MIN, Span(Duration::from_millis(1), Duration::from_secs(1));
        /// Longest pause between two looks at the log while an appender is in flight.
        poll_max: Duration = DEFAULT_POLL_MAX, Span(Duration::from_millis(1), Duration::from_secs(5));
    }
}
