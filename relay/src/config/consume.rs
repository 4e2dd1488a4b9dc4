//! How a consumer applies events.

use std::time::Duration;

use super::kind::{Count, Span};
use super::section::section;

/// A handler that fails three times with growing pauses will most likely fail the fourth.
pub const DEFAULT_ATTEMPTS: usize = 3;
/// Long enough for a lost connection or a lock to be over.
pub const DEFAULT_BACKOFF_MIN: Duration = Duration::from_millis(500);
/// What a key waits at most between two attempts.
pub const DEFAULT_BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Entries read and applied together in one transaction; on a failure they are applied one by one.
pub const DEFAULT_BATCH: usize = 100;
/// Entries of a dead member are taken over after this; also how long a handler may take in peace.
pub const DEFAULT_CLAIM_AFTER: Duration = Duration::from_secs(30);
/// A takeover after a crash takes at most this long.
pub const DEFAULT_LEASE_TTL: Duration = Duration::from_secs(10);

section! {
    /// How a consumer applies events (`outbox-relay consume`).
    Consume = "consume" {
        /// Attempts per event before it goes to the dead letters.
        attempts: usize = DEFAULT_ATTEMPTS, Count(1, 100);
        /// First pause after a failed attempt; it doubles with jitter up to `backoff_max`.
        backoff_min: Duration = DEFAULT_BACKOFF_MIN, Span(Duration::from_millis(1), Duration::from_secs(3600));
        /// Longest pause between two attempts.
        backoff_max: Duration = DEFAULT_BACKOFF_MAX, Span(Duration::from_millis(10), Duration::from_secs(86_400));
        /// Entries that are read at once and applied in one transaction.
        batch: usize = DEFAULT_BATCH, Count(1, 5000);
        /// Entries that another member read and did not acknowledge for this long are taken over.
        claim_after: Duration = DEFAULT_CLAIM_AFTER, Span(Duration::from_secs(1), Duration::from_secs(86_400));
        /// How long a member's right to apply a stream lasts without renewal. The server ends a member's session that idles in a transaction for longer.
        lease_ttl: Duration = DEFAULT_LEASE_TTL, Span(Duration::from_secs(1), Duration::from_secs(600));
    }
}
