//! What was given up, whole, with its reason: `outbox.dead_letter`.
//!
//! A consumer gives an event up in the transaction that records it as finished, so it is in the inbox as `dead` exactly
//! when it is here. Authoritative is the row; the entry on the stream is acknowledged and may be trimmed.
//!
//! An entry that could not be read has no event id: it is kept by its place on the stream.
//!
//! Deliberately absent, so far: putting one back.

mod pg;

pub(crate) use pg::enter;

use crate::event::Event;

/// One entry that is given up.
pub(crate) struct DeadLetter<'a> {
    /// The consumer group that gives it up.
    pub(crate) consumer: &'a str,
    /// The stream it came from.
    pub(crate) stream: &'a str,
    /// Its id there.
    pub(crate) entry_id: String,
    /// The event, if the entry could be read.
    pub(crate) event: Option<&'a Event>,
    /// The entry as it came.
    pub(crate) fields: &'a [(Vec<u8>, Vec<u8>)],
    /// A stable word for the reason.
    pub(crate) error_class: &'a str,
    /// The reason.
    pub(crate) error: &'a str,
    /// How often it was tried.
    pub(crate) attempts: u32,
}
