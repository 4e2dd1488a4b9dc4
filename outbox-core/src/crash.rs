//! Places at which a process may be ended, stopped or failed on purpose, to see what it leaves behind.
//!
//! Compiled in with the feature `crash-points` only, which is for the project's own tests; without it a point is nothing at
//! all. Armed from outside: `OUTBOX_CRASH_POINT=name:action:nth` (action `exit`, `panic`, `error` or `stall`, nth from 1), and
//! `OUTBOX_CRASH_RECORD=file`, to which a line is appended before the harm is done: a point that was not reached shows nothing.
//!
//! Deliberately absent: chance. Which visit does harm is said, so that a run can be repeated.

#[cfg(feature = "crash-points")]
mod armed;

#[cfg(feature = "crash-points")]
pub use armed::{Harm, reached};

/// A named place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point(&'static str);

impl Point {
    /// Its name, as it is armed by.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0
    }
}

/// Names every point once, and lists them all.
macro_rules! points {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: Point = Point($text);)+
        /// Every point.
        pub const ALL: &[Point] = &[$($name),+];
    };
}

points! {
    /// The lease is about to be asked for, or to be renewed.
    LEASE_BEFORE_TAKE = "lease-before-take";
    /// It was granted, and nobody acts on it yet.
    LEASE_TAKEN = "lease-taken";
    /// A batch is about to be cut.
    BATCH_BEFORE_CUT = "batch-before-cut";
    /// Most of a huge batch is counted, and nothing of it is stored.
    BATCH_COUNTED = "batch-counted";
    /// A batch is durable, and nobody was told.
    BATCH_COMMITTED = "batch-committed";
    /// The doorbell's lock was taken.
    SLEEP_LOCKED = "sleep-locked";
    /// More partitions of a topic are a fact, and nobody was told.
    LAYOUT_LAID = "layout-laid";
    /// A re-issue is a fact, and nobody was told.
    REISSUE_CUT = "reissue-cut";
    /// A loss for good is recorded, and nothing follows from it yet.
    LOSS_RECORDED = "loss-recorded";
    /// A parcel is about to leave.
    PARCEL_BEFORE_SEND = "parcel-before-send";
    /// Redis answered, and nobody read it: a lost reply.
    PARCEL_SENT = "parcel-sent";
    /// The lane has moved on, in memory.
    PARCEL_CONFIRMED = "parcel-confirmed";
    /// Progress is about to be recorded.
    PROGRESS_BEFORE_RECORD = "progress-before-record";
    /// Progress is recorded.
    PROGRESS_RECORDED = "progress-recorded";
    /// A floor is recorded, and nothing below it is gone yet.
    FLOOR_RECORDED = "floor-recorded";
    /// A part of what is below the floor is gone.
    TRIMMED = "trimmed";
    /// A piece is made, and not attached.
    PIECE_MADE = "piece-made";
    /// A piece is detached, and not dropped.
    PIECE_DETACHED = "piece-detached";
    /// A member has a stream's lease, and does not work on it yet.
    STREAM_LEASED = "stream-leased";
    /// A consumer group was made.
    GROUP_MADE = "group-made";
    /// A group that stood beyond what its inbox knows was set back at Redis, and nothing was read again.
    GROUP_SET_BACK = "group-set-back";
    /// Entries were delivered, and none is in hand.
    CONSUME_READ = "consume-read";
    /// Events are in the inbox, inside the transaction.
    INBOX_ENTERED = "inbox-entered";
    /// A handler is about to be called.
    HANDLER_BEFORE = "handler-before";
    /// A handler has answered.
    HANDLER_AFTER = "handler-after";
    /// What failed is parked, inside the transaction.
    PARKED = "parked";
    /// What is given up is a dead letter, inside the transaction.
    DEAD_LETTERED = "dead-lettered";
    /// Everything is ready to be committed.
    INBOX_BEFORE_COMMIT = "inbox-before-commit";
    /// It is committed, and not acknowledged.
    INBOX_COMMITTED = "inbox-committed";
    /// Entries were acknowledged.
    ACKNOWLEDGED = "acknowledged";
    /// It is recorded how far a stream came.
    PASSED_RECORDED = "passed-recorded";
    /// What was parked is applied, and ready to be committed.
    LANE_BEFORE_COMMIT = "lane-before-commit";
    /// What was parked is applied and committed.
    LANE_COMMITTED = "lane-committed";
    /// Dead letters were put back into their lanes.
    REDRIVE_RELEASED = "redrive-released";
    /// A seek has all leases.
    SEEK_SEIZED = "seek-seized";
    /// A seek has written what the streams no longer have.
    SEEK_WRITTEN = "seek-written";
    /// The streams are set back, and what earlier seeks left is still there.
    SEEK_MOVED = "seek-moved";
    /// Entries that the database does not know are kept, and still on their stream.
    ENTRIES_KEPT = "entries-kept";
    /// They are off their stream, and there is no new era yet.
    ENTRIES_TAKEN_OFF = "entries-taken-off";
    /// The new era is there, and the marks do not say so.
    ERA_OPENED = "era-opened";
    /// The first set of migrations is committed, the second is not begun.
    MIGRATED_ONE_SET = "migrated-one-set";
}

/// One visit of a point. In a function that returns a `Result` whose error can be made of a [`Harm`].
#[cfg(feature = "crash-points")]
macro_rules! crash_point {
    ($name:ident, if $when:expr) => {
        if $when {
            crash_point!($name);
        }
    };
    ($name:ident) => {
        if let Some(harm) = $crate::crash::reached($crate::crash::$name).await {
            return Err(harm.into());
        }
    };
}

/// Without the feature there is nothing to visit.
#[cfg(not(feature = "crash-points"))]
macro_rules! crash_point {
    ($name:ident $(, if $when:expr)?) => {};
}
