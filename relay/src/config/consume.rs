//! How a consumer applies events.

use std::time::Duration;

pub use outbox_core::consume::{
    DEFAULT_BATCH, DEFAULT_CONCURRENCY, DEFAULT_CONNECTIONS, DEFAULT_DISCOVERY, DEFAULT_HANDLER_LIMIT,
    DEFAULT_LEASE, DeadPolicy, Ordering,
};

use super::kind::{Count, Maybe, Numbers, Span, Words, one_of};
use super::section::section;

/// A handler that fails three times with growing pauses will most likely fail the fourth.
pub const DEFAULT_ATTEMPTS: usize = 3;
/// Long enough for a lost connection or a lock to be over.
pub const DEFAULT_BACKOFF_MIN: Duration = Duration::from_secs(5);
/// What a key waits at most between two attempts.
pub const DEFAULT_BACKOFF_MAX: Duration = Duration::from_mins(5);

impl Words for DeadPolicy {
    const WORDS: &'static [(&'static str, Self)] = &[("park", Self::Park), ("skip", Self::Skip)];
}

impl Words for Ordering {
    const WORDS: &'static [(&'static str, Self)] = &[("key", Self::Key), ("none", Self::None)];
}

section! {
    /// How a consumer applies events (`outbox-relay consume`).
    Consume = "consume" {
        /// Attempts per event before it goes to the dead letters.
        attempts: usize = DEFAULT_ATTEMPTS, Count(1, 100);
        /// What becomes of a key when its event goes to the dead letters: `park`, its later events wait until a person put the dead one back or discarded it; `skip`, they are applied without it.
        on_dead: DeadPolicy = DeadPolicy::Park, one_of();
        /// Longest pause after the first failed attempt; it doubles up to `backoff_max`, and each pause is drawn between nothing and that. Later events of the same key wait meanwhile, others go on.
        backoff_min: Duration = DEFAULT_BACKOFF_MIN, Span(Duration::from_millis(1), Duration::from_secs(3600));
        /// Longest pause between two attempts.
        backoff_max: Duration = DEFAULT_BACKOFF_MAX, Span(Duration::from_millis(10), Duration::from_secs(86_400));
        /// Whose order is kept: `key`, events of one key are applied one after the other; `none`, no event waits for another.
        ordering: Ordering = Ordering::Key, one_of();
        /// Transactions of one stream that may be open at a time; a key is in one of them at most.
        concurrency: usize = DEFAULT_CONCURRENCY, Count(1, 100);
        /// Events that one transaction may apply: more share one commit, fewer hold their locks shorter. With the default, up to 64 are handed to the function by one call while a stream is behind and there is room for their locks; any other number holds for these as well.
        batch: usize = DEFAULT_BATCH, Count(1, 1000);
        /// How long a member's right to apply a stream lasts without renewal: a takeover after a crash takes at most this long. The server ends a member's session that idles in a transaction for longer.
        lease_ttl: Duration = DEFAULT_LEASE, Span(Duration::from_millis(300), Duration::from_secs(600));
        /// How long one attempt may take; longer is a failed attempt.
        handler_limit: Duration = DEFAULT_HANDLER_LIMIT, Span(Duration::from_millis(100), Duration::from_secs(3600));
        /// Apply these partitions and no others, instead of a fair share. Other members leave them to this one while it lives. A topic without partitions counts as partition 0. `--partitions` of `consume` goes before it.
        partitions: Option<Vec<u32>> = None, Maybe(Numbers(0, 1023));
        /// How often streams of new writers of a topic are looked for; one look walks over the keys of the Redis database.
        discovery: Duration = DEFAULT_DISCOVERY, Span(Duration::from_secs(1), Duration::from_secs(86_400));
        /// Connections to the consumer's database: all but two are for transactions, so together no more of them are open at a time.
        connections: usize = DEFAULT_CONNECTIONS as usize, Count(3, 1000);
    }
}
