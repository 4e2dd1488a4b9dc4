//! Pure: a batch of the ledger, and its shares per stream.
//!
//! Which rows are in a batch, and which partition each goes to, is decided by `queries/tail/cut_batch.sql` and found again by
//! `queries/tail/read_share.sql`; the types here carry the answer.

use super::layout::Laid;
use super::reissue::{Above, Behind};
use super::row::Row;
use super::snapshot::Snapshot;
use super::stream::StreamId;

/// What a row counts besides its payload: the attributes of an ordinary event.
pub(crate) const ROW_BYTES: i64 = 512;

/// A row of the ledger.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Place in the chain: previous + 1.
    pub number: i64,
    /// First half of the entry ids: at least the database clock in milliseconds when it was cut.
    pub batch_id: u64,
    /// What the batch sees; the next one begins where this ends.
    pub snapshot: Snapshot,
    /// How many events.
    pub event_count: i64,
}

/// What of a batch goes to one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The stream.
    pub stream: StreamId,
    /// How many partitions the topic had in this batch.
    pub partitions: u16,
    /// How many events.
    pub event_count: i64,
    /// Lowest position.
    pub first_position: i64,
    /// Highest position.
    pub last_position: i64,
    /// Lowest position of a transaction that began after the batch before; none if all were open then.
    pub first_new_position: Option<i64>,
}

/// A share with the bounds that find its rows again.
#[derive(Clone, Debug)]
pub struct BoundShare {
    /// Place of the batch in the chain.
    pub batch_number: i64,
    /// First half of the entry ids.
    pub batch_id: u64,
    /// What the batch sees.
    pub snapshot: Snapshot,
    /// What the batch before saw; of a re-issue, what stands wholly before it.
    pub before: Snapshot,
    /// Of a re-issue: what of these snapshots stands before it. Empty for a batch.
    pub passed: Vec<Above>,
    /// Of a re-issue: up to this position everything was appended before its era, and is committed or gone, whatever its
    /// transaction ids are. 0 for a batch.
    pub era_floor: i64,
    /// The share.
    pub share: Share,
    /// The share is no events, but the entry that says that the topic has more partitions from here on.
    pub laid: Option<Laid>,
}

impl BoundShare {
    /// Whether its rows are told by the same conditions as those of another one, so that both can be read at once. Shares that an
    /// era or a re-issue put into one batch may each go on behind another place.
    #[must_use]
    pub fn reads_like(&self, other: &Self) -> bool {
        self.batch_number == other.batch_number
            && self.passed == other.passed
            && self.before == other.before
            && self.snapshot == other.snapshot
            && self.era_floor == other.era_floor
    }
}

/// Rows of one topic in one batch: what is read of the log at once.
#[derive(Clone, Debug)]
pub struct Section {
    /// The topic.
    pub topic: String,
    /// What the batch sees.
    pub snapshot: Snapshot,
    /// What the batch before saw.
    pub before: Snapshot,
    /// Behind this position.
    pub after: i64,
    /// Up to this one.
    pub last_position: i64,
    /// Lowest position of a transaction that began after the batch before; none if all were open then.
    pub first_new_position: Option<i64>,
    /// How many partitions the topic had in this batch.
    pub partitions: u16,
    /// Only rows of these partitions; none for all rows of the topic.
    pub only: Option<Vec<i32>>,
    /// Of a re-issue: what of these snapshots stands before it. Empty for a batch.
    pub passed: Vec<Above>,
    /// Of a re-issue: up to this position everything was appended before its era, and is committed or gone, whatever its
    /// transaction ids are. 0 for a batch.
    pub era_floor: i64,
    /// Large payloads were met just before: there may be more.
    pub is_wide: bool,
}

impl Section {
    /// The most bytes of a payload with which so many rows stay within so many bytes; 0 if that should not be tried.
    #[must_use]
    pub fn widest_payload(&self, rows: i64, bytes: i64) -> i32 {
        if self.is_wide {
            return 0;
        }
        i32::try_from(bytes / rows.max(1) - ROW_BYTES)
            .unwrap_or(i32::MAX)
            .max(0)
    }
}

/// What one row of the ledger brought.
#[derive(Debug)]
pub struct Cut {
    /// The new end of the ledger.
    pub batch: Batch,
    /// What the batch before saw.
    pub before: Snapshot,
    /// All its shares.
    pub shares: Vec<Share>,
    /// The rows in order of position: all of them, a first part (bounded by bytes), or none if the batch is large.
    pub rows: Vec<Row>,
    /// The batch is no events: a topic has more partitions from here on.
    pub laid: Option<Laid>,
    /// Of a re-issue: from behind which entry on.
    pub behind: Option<Behind>,
}
