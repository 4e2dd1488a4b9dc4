//! An event borrowed from wherever it is: what the publisher makes of a row of the log without copying its texts.

use std::collections::BTreeMap;
use std::fmt;

use time::OffsetDateTime;

use super::{DataView, EntryId, ExtensionValue};

/// A borrowed [`super::Event`], field for field.
#[derive(Clone, Copy, PartialEq)]
#[expect(
    missing_docs,
    reason = "each field is the one of the same name in Event, where it is explained"
)]
pub struct View<'a> {
    pub id: &'a str,
    pub source: &'a str,
    pub r#type: &'a str,
    pub subject: Option<&'a str>,
    pub time: Option<OffsetDateTime>,
    pub data_content_type: Option<&'a str>,
    pub data_schema: Option<&'a str>,
    pub key: Option<&'a str>,
    pub recorded_at: Option<OffsetDateTime>,
    pub schema_version: Option<&'a str>,
    pub correlation_id: Option<&'a str>,
    pub causation_id: Option<&'a str>,
    pub traceparent: Option<&'a str>,
    pub tracestate: Option<&'a str>,
    pub previous_id: Option<EntryId>,
    /// None is the same as an empty map.
    pub extensions: Option<&'a BTreeMap<String, ExtensionValue>>,
    pub data: Option<DataView<'a>>,
}

/// No payload, no key, no subject, no extension values.
impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id)
            .field("source", &self.source)
            .field("type", &self.r#type)
            .field("previous_id", &self.previous_id)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}
