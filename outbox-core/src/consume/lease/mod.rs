//! Who applies a stream: one member at a time, on the clock of the handlers' database.
//!
//! The lease is a row with an epoch. A member takes it when it ran out, which raises the epoch; it renews it while it works
//! and gives it back when it stops. Authoritative is the row, looked at **inside** each applying transaction and locked there
//! for key share: a takeover, which wants it for update, waits for that commit, and whatever the old member begins later
//! finds another epoch. A look without the lock would let a takeover through between the look and the commit.

mod pg;

/// The right to apply a stream, until another member takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) epoch: i64,
}
