//! Pure: where a stream stands, and what a chunk did.

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is none of this name.
    Absent,
    /// It takes events.
    Present {
        /// Version of its last event; 0: it has had none.
        version: u64,
        /// Version of the first that is left; none: it has no event, or no longer.
        first_version: Option<u64>,
        /// Version of the last that is in the archive.
        archived_through: Option<u64>,
    },
    /// It was given a tombstone: its events are gone, and it takes no more.
    Gone {
        /// Version of the last event that it had.
        version: u64,
    },
}

/// What a chunk did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "there may be more to do"]
pub struct Chunk {
    /// How many events moved or went.
    pub events: u64,
    /// Nothing is left to do.
    pub is_finished: bool,
}
