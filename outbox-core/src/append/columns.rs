//! The events of one call as the arrays that `outbox.append_batch` takes, in its order. Both drivers bind these.

use time::OffsetDateTime;
use uuid::Uuid;

use super::error::Error;
use super::limits::Limits;
use super::new_event::{NewEvent, Payload};
use super::refuse;

/// The statement that both drivers run; its parameters are the fields of [`Columns`], in order.
pub(super) const BATCH: &str = include_str!("../../queries/append/batch.sql");

/// One array per column, all equally long.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) ids: Vec<Uuid>,
    pub(super) topics: Vec<String>,
    pub(super) keys: Vec<Option<String>>,
    pub(super) types: Vec<Option<String>>,
    pub(super) sources: Vec<Option<String>>,
    pub(super) subjects: Vec<Option<String>>,
    pub(super) times: Vec<Option<OffsetDateTime>>,
    pub(super) data_content_types: Vec<Option<String>>,
    pub(super) data_schemas: Vec<Option<String>>,
    pub(super) schema_versions: Vec<Option<String>>,
    pub(super) correlation_ids: Vec<Option<String>>,
    pub(super) causation_ids: Vec<Option<String>>,
    pub(super) traceparents: Vec<Option<String>>,
    pub(super) tracestates: Vec<Option<String>>,
    pub(super) extensions: Vec<Option<String>>,
    pub(super) data: Vec<Option<String>>,
    pub(super) data_binaries: Vec<Option<Vec<u8>>>,
}

impl Columns {
    /// Checks the events and lays them out.
    pub(super) fn of(mut events: Vec<NewEvent>, limits: &Limits) -> Result<Self, Error> {
        take_trace_context(&mut events);
        refuse::check(&events, limits).map_err(Error::refused)?;
        let mut columns = Self::default();
        for event in events {
            columns.push(event);
        }
        Ok(columns)
    }

    fn push(&mut self, event: NewEvent) {
        let extensions = (!event.extensions.is_empty()).then(|| {
            serde_json::to_string(&event.extensions).expect("texts, numbers and booleans have a JSON form")
        });
        let (data, binary) = match event.payload {
            Payload::None | Payload::Unserialisable => (None, None),
            Payload::Json(text) | Payload::UncheckedJson(text) => (Some(text), None),
            Payload::Binary(bytes) => (None, Some(bytes)),
        };
        self.ids.push(event.id);
        self.topics.push(event.topic);
        self.keys.push(event.key);
        self.types.push(event.r#type);
        self.sources.push(event.source);
        self.subjects.push(event.subject);
        self.times.push(event.time);
        self.data_content_types.push(event.data_content_type);
        self.data_schemas.push(event.data_schema);
        self.schema_versions.push(event.schema_version);
        self.correlation_ids.push(event.correlation_id);
        self.causation_ids.push(event.causation_id);
        self.traceparents.push(event.traceparent);
        self.tracestates.push(event.tracestate);
        self.extensions.push(extensions);
        self.data.push(data);
        self.data_binaries.push(binary);
    }
}

#[cfg(feature = "opentelemetry")]
fn take_trace_context(events: &mut [NewEvent]) {
    super::trace_context::fill(events);
}

#[cfg(not(feature = "opentelemetry"))]
fn take_trace_context(_: &mut [NewEvent]) {}
