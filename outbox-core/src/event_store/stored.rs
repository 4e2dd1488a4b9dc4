//! Pure: an event as it is stored.

use time::OffsetDateTime;

use super::StreamName;
use crate::event::Event;

/// An event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// Its stream.
    pub stream: StreamName,
    /// Its place in the stream, from 1 on, without gaps.
    pub version: u64,
    /// Its place in the log. Of two streams it says nothing about which committed first.
    pub position: i64,
    /// When the log recorded it, on the clock of its database.
    pub recorded_at: OffsetDateTime,
    /// What it concerns besides its stream.
    pub tags: Vec<String>,
    /// Where it is published; none: nowhere.
    pub topic: Option<String>,
    /// Whether it was moved to the archive.
    pub is_archived: bool,
    /// The event.
    pub event: Event,
}
