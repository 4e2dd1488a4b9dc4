//! What was given up, whole, with its reason: `outbox.dead_letter`.
//!
//! A consumer gives an event up in the transaction that records it as finished, so it is in the inbox as `dead` exactly
//! when it is here. Authoritative is the row; the entry on the stream is acknowledged and may be trimmed.
//!
//! An entry that could not be read has no event id: it is kept by its place on the stream.
//!
//! What people do about letters is a change of the database by functions for role `outbox_operator` ([`redrive`], [`edit`],
//! [`discard`]); what follows is done by the members of the group, which have the handler. Nothing here applies an event.

mod filter;

mod letter;

mod group;

mod preview;

mod operation;

mod read;

mod command;

mod error;

mod kept;

mod pg;

pub use command::{
    cancel, discard, edit, operation, operations, preview, preview_discard, redrive, resume, takes_everything,
};
pub use error::Error;
pub use filter::{Filter, Kind, State};
pub use group::Group;
pub use letter::{Attempt, Letter, Summary};
pub use operation::{Operation, Stage};
pub use preview::{DiscardPreview, Preview};
pub use read::{Page, export, groups, list, whole};

pub(crate) use kept::ENTRY_BYTES_MAX;
pub(crate) use pg::{enter, settle};

use time::OffsetDateTime;

/// One entry that is given up.
pub(crate) struct DeadLetter<'a> {
    /// The consumer group that gives it up.
    pub(crate) consumer: &'a str,
    /// The stream it came from.
    pub(crate) stream: &'a str,
    /// Its id there.
    pub(crate) entry_id: String,
    /// The topic, with its writer.
    pub(crate) flow: &'a str,
    /// The line it stood in.
    pub(crate) lane: &'a str,
    /// Its place there, if it was parked.
    pub(crate) place: Option<i64>,
    /// The event, if the entry could be read.
    pub(crate) event: Option<Attributes<'a>>,
    /// The entry as it came.
    pub(crate) fields: &'a [(Vec<u8>, Vec<u8>)],
    /// A stable word for the reason.
    pub(crate) error_class: &'a str,
    /// The reason.
    pub(crate) error: &'a str,
    /// What the reason says about another attempt.
    pub(crate) error_kind: &'a str,
    /// The group of failures that it belongs to.
    pub(crate) fingerprint: String,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// The attempts before the last one, as JSON.
    pub(crate) history: &'a str,
    /// How long the last attempt took.
    pub(crate) seconds: f64,
}

/// What names an event that is given up.
pub(crate) struct Attributes<'a> {
    pub(crate) source: &'a str,
    pub(crate) id: &'a str,
    pub(crate) r#type: &'a str,
    pub(crate) schema_version: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    pub(crate) recorded_at: Option<OffsetDateTime>,
}
