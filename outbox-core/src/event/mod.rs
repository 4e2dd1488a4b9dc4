//! What travels: one CloudEvents 1.0.2 event, how it is written on a stream and read back.
//!
//! Authoritative for the wire format ([`envelope`]) and for the names of the attributes that this project adds.
//! Everything here is pure: bytes in, event out, and back.
//!
//! Invariants:
//! * A JSON payload is kept byte for byte (key order, spaces, `1.10`, 30-digit numbers): it is never parsed into a tree.
//! * `recordedtime` survives a round trip exactly; times have microseconds, as Postgres has.
//! * Neither `Debug` nor an error of this module shows a payload.
//!
//! Failure: decoding answers with an [`Error`] that names the field. Such an entry will never become readable, so its
//! verdict is always to set it aside.
//!
//! Deliberately absent: batches of events in one entry (an entry is one event, so that acknowledging it means one thing),
//! and the older CloudEvents 0.3.

use std::collections::BTreeMap;
use std::fmt;

use time::OffsetDateTime;

mod content_type;
pub use content_type::is_json;

mod data;
pub(crate) use data::without_content;
pub use data::{Data, DataView};

pub(crate) mod entry_id;
pub use entry_id::{EntryId, NotAnEntryId};

mod error;
pub use error::{Error, ErrorKind};

mod extension;
pub use extension::{ExtensionValue, extensions_from_json, is_attribute};

#[cfg(feature = "cloudevents-sdk")]
mod sdk;

mod timestamp;

mod view;
pub use view::View;

pub mod envelope;

/// One event. `id` and `source` together name it for ever; deduplication goes by them.
#[derive(Clone, PartialEq)]
pub struct Event {
    /// Unique within `source`. Ours are UUIDs; those of others are any text.
    pub id: String,
    /// Who produced it, a URI reference.
    pub source: String,
    /// What happened.
    pub r#type: String,
    /// What it happened to, within the source.
    pub subject: Option<String>,
    /// When it happened, as the producer says.
    pub time: Option<OffsetDateTime>,
    /// Media type of the data (`datacontenttype`). Absent means JSON.
    pub data_content_type: Option<String>,
    /// URI of the schema that the data adheres to (`dataschema`).
    pub data_schema: Option<String>,
    /// Order is promised among events of one key (`partitionkey`).
    pub key: Option<String>,
    /// When the log recorded it, on the clock of its database (`recordedtime`). Never changes, unlike arrival.
    pub recorded_at: Option<OffsetDateTime>,
    /// Version of the payload's contract (`schemaversion`).
    pub schema_version: Option<String>,
    /// What it belongs to (`correlationid`).
    pub correlation_id: Option<String>,
    /// The event that caused it (`causationid`).
    pub causation_id: Option<String>,
    /// W3C trace context of the append (`traceparent`).
    pub traceparent: Option<String>,
    /// Vendor part of the trace context (`tracestate`).
    pub tracestate: Option<String>,
    /// The entry before this one on its stream (`previousid`). Absent in events of strangers.
    pub previous_id: Option<EntryId>,
    /// Every other attribute, by name.
    pub extensions: BTreeMap<String, ExtensionValue>,
    /// The payload.
    pub data: Option<Data>,
}

impl Event {
    /// An event with what every event must have, and nothing else.
    #[must_use]
    pub fn new(id: impl Into<String>, source: impl Into<String>, r#type: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            source: source.into(),
            r#type: r#type.into(),
            subject: None,
            time: None,
            data_content_type: None,
            data_schema: None,
            key: None,
            recorded_at: None,
            schema_version: None,
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            tracestate: None,
            previous_id: None,
            extensions: BTreeMap::new(),
            data: None,
        }
    }

    /// The same event, borrowed.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View {
            id: &self.id,
            source: &self.source,
            r#type: &self.r#type,
            subject: self.subject.as_deref(),
            time: self.time,
            data_content_type: self.data_content_type.as_deref(),
            data_schema: self.data_schema.as_deref(),
            key: self.key.as_deref(),
            recorded_at: self.recorded_at,
            schema_version: self.schema_version.as_deref(),
            correlation_id: self.correlation_id.as_deref(),
            causation_id: self.causation_id.as_deref(),
            traceparent: self.traceparent.as_deref(),
            tracestate: self.tracestate.as_deref(),
            previous_id: self.previous_id,
            extensions: Some(&self.extensions),
            data: self.data.as_ref().map(Data::view),
        }
    }
}

/// Names the event without showing what may be personal.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}
