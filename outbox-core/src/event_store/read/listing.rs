//! Pure: a stream as it is listed.

use time::OffsetDateTime;

use crate::event_store::StreamName;

/// A stream, without its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamListing {
    /// Its name.
    pub name: StreamName,
    /// Version of its last event; 0: it has none.
    pub version: u64,
    /// Version of the first event that is still there; 0: none is.
    pub first_version: u64,
    /// When its first append began.
    pub created_at: OffsetDateTime,
    /// When its last event was recorded; none, if it is not there any more.
    pub recorded_at: Option<OffsetDateTime>,
}
