//! What can be set about a consumer, and the reasons for the defaults.

use std::collections::HashMap;
use std::time::Duration;

use super::inbox::keyed::Deduplication;
use super::park::DeadPolicy;
use super::retry::Policy;

/// Before the topic in the key of its stream.
pub const DEFAULT_PREFIX: &str = "outbox:";
/// A member that died is replaced after this long, and a handler may pause this long between two statements.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(10);
/// Longer than a slow statement, shorter than a person's patience.
pub const DEFAULT_HANDLER_LIMIT: Duration = Duration::from_secs(30);
/// Events of one transaction: enough that its commit is shared, few enough that its locks are short.
pub const DEFAULT_BATCH: usize = 32;
/// Events of one transaction where all of them go to one handler by one call, while a stream is so far behind that every transaction
/// has as many, and the server has room for their locks: a transaction costs some 0.4 ms besides its events. With as many locks as a server
/// has by default, as many members as it has connections for may be behind at the same time. Those that fail
/// together are tried one after the other in transactions of [`DEFAULT_BATCH`].
pub const DEFAULT_TOGETHER: usize = 64;
/// Transactions of one stream at a time: enough that one waits for its commit while others work. Where handlers of different keys
/// change the same rows, fewer run by themselves (`contention.rs`).
pub const DEFAULT_CONCURRENCY: usize = 4;
/// Entries in hand of one stream: the work of a moment, so that a takeover repeats little.
pub const DEFAULT_WINDOW: usize = 1000;
/// Bytes in hand of one stream, as an entry counts twice (as it came, and decoded).
pub const DEFAULT_WINDOW_BYTES: usize = 32 * 1024 * 1024;
/// Entries of one read: at the default limit of a payload these are 32 MiB at most.
pub const DEFAULT_READ_COUNT: usize = 128;
/// How often streams of new writers are looked for: one walk over the keys of the Redis database.
pub const DEFAULT_DISCOVERY: Duration = Duration::from_secs(30);
/// Connections of a pool made from a URL: some for leases, the others for transactions.
pub const DEFAULT_CONNECTIONS: u32 = 10;

/// Whose order is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// Events of one key are applied one after the other, in their order.
    #[default]
    Key,
    /// Nothing waits for anything: for handlers that do not care.
    None,
}

/// The settings of a consumer, validated.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) member: String,
    pub(super) prefix: String,
    pub(super) writers: Vec<String>,
    /// The static assignment; none takes part in the fair spread.
    pub(super) partitions: Option<Vec<u32>>,
    pub(super) discovery: Option<Duration>,
    pub(super) lease: Duration,
    pub(super) handler_limit: Duration,
    pub(super) retry: Policy,
    pub(super) retry_by_topic: HashMap<String, Policy>,
    pub(super) on_dead: DeadPolicy,
    /// By topic: how input is told by what it says.
    pub(super) deduplicate: HashMap<String, Deduplication>,
    pub(super) ordering: Ordering,
    pub(super) concurrency: usize,
    pub(super) batch: usize,
    /// The same for events that are handed over together, while the stream is behind.
    pub(super) together: usize,
    pub(super) window: usize,
    pub(super) window_bytes: usize,
    pub(super) read_count: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            member: format!("{}-{}", std::process::id(), uuid::Uuid::now_v7().simple()),
            prefix: DEFAULT_PREFIX.to_owned(),
            writers: Vec::new(),
            partitions: None,
            discovery: Some(DEFAULT_DISCOVERY),
            lease: DEFAULT_LEASE,
            handler_limit: DEFAULT_HANDLER_LIMIT,
            retry: Policy::default(),
            retry_by_topic: HashMap::new(),
            on_dead: DeadPolicy::default(),
            deduplicate: HashMap::new(),
            ordering: Ordering::default(),
            concurrency: DEFAULT_CONCURRENCY,
            batch: DEFAULT_BATCH,
            together: DEFAULT_TOGETHER,
            window: DEFAULT_WINDOW,
            window_bytes: DEFAULT_WINDOW_BYTES,
            read_count: DEFAULT_READ_COUNT,
        }
    }
}

impl Settings {
    /// How often an event of this topic is tried.
    pub(super) fn retry_of(&self, topic: &str) -> Policy {
        self.retry_by_topic.get(topic).copied().unwrap_or(self.retry)
    }

    /// How often a member looks at its group: a lease given back is taken within this time.
    pub(super) fn look_every(&self) -> Duration {
        (self.lease / 10).clamp(Duration::from_millis(50), Duration::from_secs(1))
    }

    /// How often a member looks that is alone in its group and for whom nothing waits: its leases are renewed each time.
    pub(super) fn look_at_rest(&self) -> Duration {
        (self.lease / 5).clamp(self.look_every(), Duration::from_secs(2))
    }

    /// How soon it looks again while streams are on their way from one member to another.
    pub(super) fn look_soon(&self) -> Duration {
        (self.lease / 50).clamp(Duration::from_millis(20), Duration::from_millis(200))
    }
}
