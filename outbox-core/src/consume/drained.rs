//! What a parked lane came to, and one transaction on it.

use std::time::Duration;

use super::Failure;
use super::retry::Next;
use crate::event::EntryId;

/// What a lane came to.
#[derive(Debug, Default)]
pub(super) struct Drained {
    /// Events whose effect is committed.
    pub(super) applied: usize,
    /// Events that had their effect before, or that nobody here wants any more.
    pub(super) dropped: usize,
    /// The event that failed: class, attempts, what follows.
    pub(super) failed: Option<(String, u32, Next)>,
    /// The type of the first event whose handler was called.
    pub(super) r#type: Option<String>,
    /// Something that an event of this type needs is down.
    pub(super) dependency: Option<(String, Failure)>,
    /// Until when the lane waits; none if it does not wait for a time.
    pub(super) again: Option<Duration>,
}

/// What one transaction came to.
pub(super) enum Outcome {
    Committed(Drained),
    /// Undone, by the doing of the event at this place.
    Lost(i64, Failure, Duration),
    /// Undone with its connection, while the handler of this entry was at work.
    Severed(Option<EntryId>, Known),
    /// Undone; each of its events may be at fault.
    Unclear,
    /// Undone because another transaction was in the way, which the event at this place met.
    Conflict(i64, Failure),
    /// Undone because something that an event of this type needs is down.
    Dependency(String, Failure),
}

/// An attempt that failed with the transaction it was in.
pub(super) struct Known {
    pub(super) at: i64,
    pub(super) failure: Failure,
    pub(super) took: Duration,
}
