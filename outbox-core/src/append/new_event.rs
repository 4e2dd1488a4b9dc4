//! An event that is about to be appended. Building one checks nothing; appending checks everything before it sends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::event::ExtensionValue;

/// An event to append. Only the topic is needed; type defaults to it, id to a new UUIDv7, source to the database's own.
#[derive(Clone)]
#[must_use = "an event that is not appended does nothing"]
pub struct NewEvent {
    pub(super) destination: Destination,
    pub(super) tags: BTreeSet<String>,
    pub(super) id: Uuid,
    pub(super) key: Option<String>,
    pub(super) r#type: Option<String>,
    pub(super) source: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) time: Option<OffsetDateTime>,
    pub(super) data_content_type: Option<String>,
    pub(super) data_schema: Option<String>,
    pub(super) schema_version: Option<String>,
    pub(super) correlation_id: Option<String>,
    pub(super) causation_id: Option<String>,
    pub(super) traceparent: Option<String>,
    pub(super) tracestate: Option<String>,
    pub(super) extensions: BTreeMap<String, ExtensionValue>,
    pub(super) payload: Payload,
}

/// Where the event goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    Topic(String),
    /// Of a stored event: where `outbox.route` says for its category and type.
    Route,
    /// Of a stored event: nowhere.
    Nowhere,
}

/// What the event carries.
#[derive(Clone)]
pub(super) enum Payload {
    None,
    /// JSON text that is known to be valid.
    Json(String),
    /// JSON text that nobody has checked yet.
    UncheckedJson(String),
    /// A value that has no JSON form. Reported when the event is appended, so that building stays a chain of calls.
    Unserialisable,
    Binary(Vec<u8>),
}

impl NewEvent {
    /// An event for this topic, which is also its type until [`NewEvent::event_type`] says otherwise.
    pub fn new(topic: impl Into<String>) -> Self {
        Self::going(Destination::Topic(topic.into()))
    }

    /// An event of this type for a stream of the [event store](crate::event_store). It is published where the routes of its
    /// category say (`outbox.route`), or nowhere; [`NewEvent::publish_to`] and [`NewEvent::private`] say it of this one event.
    pub fn stored(event_type: impl Into<String>) -> Self {
        Self::going(Destination::Route).event_type(event_type)
    }

    fn going(destination: Destination) -> Self {
        Self {
            destination,
            tags: BTreeSet::new(),
            id: Uuid::now_v7(),
            key: None,
            r#type: None,
            source: None,
            subject: None,
            time: None,
            data_content_type: None,
            data_schema: None,
            schema_version: None,
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            tracestate: None,
            extensions: BTreeMap::new(),
            payload: Payload::None,
        }
    }

    /// The topic that it is published to.
    pub fn publish_to(mut self, topic: impl Into<String>) -> Self {
        self.destination = Destination::Topic(topic.into());
        self
    }

    /// Not published, whatever the routes say: for events of the event store only.
    pub fn private(mut self) -> Self {
        self.destination = Destination::Nowhere;
        self
    }

    /// What it concerns besides its stream, as `course:42`: found by it, and guarded by it. For events of the event store only.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.insert(tag.into());
        self
    }

    /// A value as JSON. One that has no JSON form (a map whose keys are no text) is refused when it is appended.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        self.payload = serde_json::to_string(value).map_or(Payload::Unserialisable, Payload::Json);
        self
    }

    /// JSON that is already text, kept byte for byte.
    pub fn raw_json(mut self, json: Box<RawValue>) -> Self {
        self.payload = Payload::Json(Box::<str>::from(json).into_string());
        self
    }

    /// JSON as text, kept byte for byte; checked when it is appended.
    pub fn json_text(mut self, json: impl Into<String>) -> Self {
        self.payload = Payload::UncheckedJson(json.into());
        self
    }

    /// Bytes of this media type.
    pub fn binary(mut self, bytes: impl Into<Vec<u8>>, content_type: impl Into<String>) -> Self {
        self.payload = Payload::Binary(bytes.into());
        self.data_content_type = Some(content_type.into());
        self
    }

    /// Order is promised among events of one key.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// An id of your own, to make a repeated request the same event.
    pub fn id(mut self, id: Uuid) -> Self {
        self.id = id;
        self
    }

    /// What happened, where it differs from the topic.
    pub fn event_type(mut self, event_type: impl Into<String>) -> Self {
        self.r#type = Some(event_type.into());
        self
    }

    /// Who produced it, where it is not the database's own source.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What it happened to, within the source.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// When it happened; when it was recorded is noted anyway.
    pub fn time(mut self, time: OffsetDateTime) -> Self {
        self.time = Some(time);
        self
    }

    /// Media type of the data, where it is not `application/json`.
    pub fn data_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.data_content_type = Some(content_type.into());
        self
    }

    /// URI of the schema that the data adheres to.
    pub fn data_schema(mut self, schema: impl Into<String>) -> Self {
        self.data_schema = Some(schema.into());
        self
    }

    /// Version of the payload's contract, published as `schemaversion`.
    pub fn schema_version(mut self, version: impl Into<String>) -> Self {
        self.schema_version = Some(version.into());
        self
    }

    /// What it belongs to.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// The event that caused it.
    pub fn causation_id(mut self, id: impl Into<String>) -> Self {
        self.causation_id = Some(id.into());
        self
    }

    /// W3C trace context. With feature `opentelemetry` the current span's is taken when none is given.
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.traceparent = Some(traceparent.into());
        self
    }

    /// Vendor part of the trace context.
    pub fn tracestate(mut self, tracestate: impl Into<String>) -> Self {
        self.tracestate = Some(tracestate.into());
        self
    }

    /// An attribute of your own: lower-case letters and digits.
    pub fn extension(mut self, name: impl Into<String>, value: impl Into<ExtensionValue>) -> Self {
        self.extensions.insert(name.into(), value.into());
        self
    }

    /// The id that it has or will have.
    #[must_use]
    pub fn event_id(&self) -> Uuid {
        self.id
    }

    /// Type, version of the data and JSON: what readers of types go by.
    pub(crate) fn told(&self) -> (&str, &str, Option<&str>) {
        let data = match &self.payload {
            Payload::Json(text) | Payload::UncheckedJson(text) => Some(text.as_str()),
            Payload::None | Payload::Unserialisable | Payload::Binary(_) => None,
        };
        let version = self.schema_version.as_deref().unwrap_or("1");
        (self.r#type.as_deref().unwrap_or_default(), version, data)
    }

    pub(super) fn payload_bytes(&self) -> usize {
        match &self.payload {
            Payload::None | Payload::Unserialisable => 0,
            Payload::Json(text) | Payload::UncheckedJson(text) => text.len(),
            Payload::Binary(bytes) => bytes.len(),
        }
    }
}

/// Names the event; no payload, key or subject.
impl fmt::Debug for NewEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewEvent")
            .field("destination", &self.destination)
            .field("id", &self.id)
            .field("type", &self.r#type)
            .field("payload_bytes", &self.payload_bytes())
            .finish_non_exhaustive()
    }
}
