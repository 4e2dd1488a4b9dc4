//! How a tail behaves; every default with its reason.

use std::time::Duration;

/// Settings of the tail.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a lease runs without renewal. Default 4 s: a dead leader is replaced within it, and a pause of a second
    /// (garbage collection elsewhere, a slow disk) does not cost the lead.
    pub lease_ttl: Duration,
    /// The poll while asleep, if no notification comes. Default 5 s: a floor, not the way events are found.
    pub slow_poll: Duration,
    /// The pause after a batch of many events. Default 2 ms: a stream of small transactions makes batches instead of one fsync each.
    pub pace: Duration,
    /// A short and the longest pause between looks while an appender is in flight: the first one is a quarter of the short one, and each
    /// is twice as long as the one before. Default 1 and 20 ms.
    pub doze: (Duration, Duration),
    /// Batches of up to this many events come back with the cut itself, in one round trip. Default 1,000.
    pub first_rows: i64,
    /// And of those at most about this many bytes. Default 4 MiB.
    pub first_bytes: i64,
    /// The longest a statement may take. Default 30 s: counting a backlog of ten million events takes several seconds.
    pub statement_limit: Duration,
    /// Whether to use notifications. Off: polling alone, up to 50 times a second.
    pub listen: bool,
    /// A transaction pooler may be in between: no named statements, no notifications, no lock that outlives a transaction.
    pub pooled: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::from_secs(4),
            slow_poll: Duration::from_secs(5),
            pace: Duration::from_millis(2),
            doze: (Duration::from_millis(1), Duration::from_millis(20)),
            first_rows: 1_000,
            first_bytes: 4 << 20,
            statement_limit: Duration::from_secs(30),
            listen: true,
            pooled: false,
        }
    }
}
