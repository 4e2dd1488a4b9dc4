//! Pure: how far a file is, and what is done with topics.

/// What was written so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Streams with events.
    pub streams: u64,
    /// Events.
    pub events: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What was read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Streams.
    pub streams: u64,
    /// Events, those that were there before included.
    pub events: u64,
    /// Events that were appended.
    pub appended: u64,
}

/// What becomes of the topics in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topics {
    /// Nothing that is imported is published.
    Private,
    /// Each event goes to the topic that it was stored for, as if it had just happened.
    AsExported,
}
