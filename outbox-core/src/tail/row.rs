//! Pure: a row of the log, on its way to a stream.

use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use super::stream::StreamId;
use crate::event::Event;
use crate::event::envelope::Written;

/// One event of the log with its place.
#[derive(Debug)]
pub struct Row {
    /// Position in the log: second half of the entry id.
    pub position: i64,
    /// The stream it goes to.
    pub stream: Arc<StreamId>,
    /// The event as it is published, but for `previousid`.
    pub content: Content,
    /// Bytes of payload, for bounds.
    pub bytes: usize,
}

/// How rows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Written in structured mode: they are sent.
    Written,
    /// As events: they are sent in another mode, or looked at.
    Event,
}

/// What a row is published as.
#[derive(Debug)]
pub enum Content {
    /// Written when it was read: what a row of a backlog is, in structured mode.
    Written {
        /// The event but for `previousid`.
        event: Written,
        /// Its id.
        id: Uuid,
        /// When the log recorded it.
        recorded_at: OffsetDateTime,
    },
    /// To be written when it is packed.
    Event(Box<Event>),
    /// No event, and never one: nothing that appends would have inserted it.
    Broken {
        /// Its id.
        id: Uuid,
        /// When the log recorded it.
        recorded_at: OffsetDateTime,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Row {
    /// The id of the event.
    #[must_use]
    pub fn event_id(&self) -> String {
        match &self.content {
            Content::Written { id, .. } | Content::Broken { id, .. } => id.to_string(),
            Content::Event(event) => event.id.clone(),
        }
    }

    /// When the log recorded it.
    #[must_use]
    pub fn recorded_at(&self) -> Option<OffsetDateTime> {
        match &self.content {
            Content::Written { recorded_at, .. } | Content::Broken { recorded_at, .. } => Some(*recorded_at),
            Content::Event(event) => event.recorded_at,
        }
    }
}
