//! What the tail is asked to cut besides batches: one stream again, from behind an entry that was kept.
//!
//! Only the tail writes the ledger, so whoever finds that a stream lost entries orders it here. The rows are not counted
//! by the cut: they were measured before, on another connection, since everything waits for a cut.

use tokio::sync::oneshot;

use super::StreamId;
use super::snapshot::Snapshot;
use crate::event::EntryId;

/// Of what a snapshot sees, only what is above a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Above {
    /// The snapshot of the batch that an entry is of.
    pub snapshot: Snapshot,
    /// The entry's position.
    pub position: i64,
}

/// Which rows of a stream stand behind an entry: those that `base` does not see, and that are above in each of `passed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The entry.
    pub kept: EntryId,
    /// The batch that it is of.
    pub number: i64,
    /// Everything that it sees stands before the entry.
    pub base: Snapshot,
    /// The batch whose snapshot that is.
    pub base_number: i64,
    /// One for the entry's own batch, the last; more where that is a re-issue.
    pub passed: Vec<Above>,
}

/// What stands behind an entry up to the end of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The last batch that was looked at.
    pub through: i64,
    /// Events to put out.
    pub event_count: i64,
    /// Events that were removed from the event store on purpose: they count as there, and are not put out.
    pub removed: i64,
    /// Lowest position.
    pub first_position: i64,
    /// Highest position.
    pub last_position: i64,
    /// Lowest position of a transaction that began after `base`.
    pub first_new_position: Option<i64>,
    /// Events that the ledger cut into batches behind the entry's.
    pub cut_later: i64,
    /// How many of those the log still has, or were removed on purpose.
    pub found_later: i64,
    /// Events of the entry's own batch, also those before it.
    pub cut_own: i64,
    /// How many of those the log still has, or were removed on purpose.
    pub found_own: i64,
    /// Whether the log has the event that is missing on the stream, or it was removed on purpose.
    pub has_missing: bool,
    /// The snapshot in which this is so.
    pub measured_in: String,
}

impl Measured {
    /// Whether the log has everything that stands behind the entry but for what was removed on purpose; `is_end`: the entry is the last of its batch, of which nothing
    /// stands behind it.
    #[must_use]
    pub fn has_all_behind(&self, is_end: bool) -> bool {
        self.has_missing && self.found_later >= self.cut_later && (is_end || self.found_own >= self.cut_own)
    }
}

/// A stream that is to be re-issued.
#[derive(Debug)]
pub struct Order {
    /// The stream.
    pub stream: StreamId,
    /// How many partitions its topic has.
    pub partitions: u16,
    /// From where on.
    pub behind: Behind,
    /// What that is.
    pub measured: Measured,
    /// What is missing.
    pub missing: EntryId,
    /// Who misses it.
    pub asked_by: String,
    /// Gets the number of the re-issue; none if the stream was re-issued or divided since it was measured, or events of its topic
    /// were removed.
    pub done: oneshot::Sender<Option<i64>>,
}
