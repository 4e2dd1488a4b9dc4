//! Pure: a row of the log, on its way to a stream.

use super::stream::StreamId;
use crate::event::Event;

/// One event of the log with its place.
#[derive(Debug)]
pub struct Row {
    /// Position in the log: second half of the entry id.
    pub position: i64,
    /// The stream it goes to.
    pub stream: StreamId,
    /// The event as it is published, but for `previousid`.
    pub event: Event,
    /// Bytes of payload, for bounds.
    pub bytes: usize,
}
