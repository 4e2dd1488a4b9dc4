//! An event borrowed from wherever it is: what the publisher makes of a row of the log without copying its texts.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::{Data, DataView, EntryId, Event, ExtensionValue};

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

impl View<'_> {
    /// The event with texts of its own.
    ///
    /// # Errors
    /// Data that is said to be JSON is not.
    pub fn to_event(&self) -> Result<Event, serde_json::Error> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let data = self.data.map(|data| {
            Ok(match data {
                DataView::Json(json) => Data::Json(RawValue::from_string(json.to_owned())?),
                DataView::Text(text) => Data::Text(text.to_owned()),
                DataView::Binary(bytes) => Data::Binary(bytes.to_vec()),
            })
        });
        Ok(Event {
            id: self.id.to_owned(),
            source: self.source.to_owned(),
            r#type: self.r#type.to_owned(),
            subject: owned(self.subject),
            time: self.time,
            data_content_type: owned(self.data_content_type),
            data_schema: owned(self.data_schema),
            key: owned(self.key),
            recorded_at: self.recorded_at,
            schema_version: owned(self.schema_version),
            correlation_id: owned(self.correlation_id),
            causation_id: owned(self.causation_id),
            traceparent: owned(self.traceparent),
            tracestate: owned(self.tracestate),
            previous_id: self.previous_id,
            extensions: self.extensions.cloned().unwrap_or_default(),
            data: data.transpose()?,
        })
    }
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
