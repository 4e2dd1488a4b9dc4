//! What is to be done with an entry in hand.

use super::Failure;
use super::handler::Applier;
use crate::event::Event;

/// An entry as it came, and what it asks for.
pub(super) struct Delivery {
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The event, if it is one that the inbox can take.
    pub(super) event: Option<Event>,
    pub(super) work: Work,
}

/// What is to be done.
pub(super) enum Work {
    /// Hand it to its handler.
    Handle(Applier),
    /// It failed before anybody tried: no event, or of a version that nobody here knows.
    Fail(Failure),
}
