//! What is finished: one row per consumer and event, found again when the event comes again.
//!
//! The table comes in days of the time at which an event was recorded, which travels with it and never changes; arrival
//! and entry id do. Events that do not say when they were recorded have a table of their own.

mod pg;

pub(super) mod keyed;

pub(super) mod window;

pub(super) use pg::Entered;

use time::{OffsetDateTime, UtcOffset};

use crate::event::Event;

/// When the event was recorded, if it says so in a year that the inbox has days for. A property of the event alone:
/// whichever member asks, now or later, looks for it in the same place.
pub(super) fn recorded_at(event: &Event) -> Option<OffsetDateTime> {
    event
        .recorded_at
        .filter(|at| (2000..3000).contains(&at.to_offset(UtcOffset::UTC).year()))
}
