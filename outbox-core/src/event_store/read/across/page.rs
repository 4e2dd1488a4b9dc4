//! Pure: a page of a read across streams.

use crate::event_store::{Cursor, StoredEvent};

/// Some events, and where to go on.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "its cursor is how far the read is"]
pub struct EventPage {
    /// Events, in the direction of the read. There may be none where few of those looked at were wanted.
    pub events: Vec<StoredEvent>,
    /// Behind them.
    pub cursor: Cursor,
    /// Whether that was all there was to see when the read began. From then on the cursor stands for what was seen, and a read from it
    /// has what came since.
    pub is_end: bool,
}
