//! The events of one call as the arrays that `outbox.append_batch` takes, in its order. Both drivers bind these; the event store
//! adds its own (`outbox.append_to_streams`). A single event is bound without arrays: building and taking apart seventeen of them
//! costs a transaction as much as the append.

use time::OffsetDateTime;
use uuid::Uuid;

use super::error::Error;
use super::limits::Limits;
use super::new_event::{Destination, NewEvent, Payload};
use super::refuse::{self, Home};

/// The statement that both drivers run; its parameters are the fields of [`Columns`], in order.
pub(super) const BATCH: &str = include_str!("../../queries/append/batch.sql");

/// The statement for any single event; its parameters are the first of each.
pub(super) const EVENT: &str = include_str!("../../queries/append/event.sql");

/// One array per column, all equally long.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) ids: Vec<Uuid>,
    /// Empty: none. Null: of a stored event, that of its route.
    pub(crate) topics: Vec<Option<String>>,
    pub(crate) keys: Vec<Option<String>>,
    pub(crate) types: Vec<Option<String>>,
    pub(crate) sources: Vec<Option<String>>,
    pub(crate) subjects: Vec<Option<String>>,
    pub(crate) times: Vec<Option<OffsetDateTime>>,
    pub(crate) data_content_types: Vec<Option<String>>,
    pub(crate) data_schemas: Vec<Option<String>>,
    pub(crate) schema_versions: Vec<Option<String>>,
    pub(crate) correlation_ids: Vec<Option<String>>,
    pub(crate) causation_ids: Vec<Option<String>>,
    pub(crate) traceparents: Vec<Option<String>>,
    pub(crate) tracestates: Vec<Option<String>>,
    pub(crate) extensions: Vec<Option<String>>,
    pub(crate) data: Vec<Option<String>>,
    pub(crate) data_binaries: Vec<Option<Vec<u8>>>,
    /// JSON arrays; only of stored events.
    pub(crate) tags: Vec<Option<String>>,
}

impl Columns {
    /// Checks the events and lays them out.
    pub(crate) fn of(mut events: Vec<NewEvent>, home: Home, limits: &Limits) -> Result<Self, Error> {
        take_trace_context(&mut events);
        refuse::check(&events, home, limits).map_err(Error::refused)?;
        let mut columns = Self::default();
        for event in events {
            columns.push(event);
        }
        Ok(columns)
    }

    /// Columns that no event has become empty arrays, which the functions of the event store take for that: nothing of them is sent.
    pub(crate) fn leave_out_absent(&mut self) {
        fn clear<T>(column: &mut Vec<Option<T>>) {
            if column.iter().all(Option::is_none) {
                column.clear();
            }
        }
        clear(&mut self.times);
        clear(&mut self.data_binaries);
        for column in [
            &mut self.topics,
            &mut self.keys,
            &mut self.sources,
            &mut self.subjects,
            &mut self.data_content_types,
            &mut self.data_schemas,
            &mut self.schema_versions,
            &mut self.correlation_ids,
            &mut self.causation_ids,
            &mut self.traceparents,
            &mut self.tracestates,
            &mut self.extensions,
            &mut self.data,
            &mut self.tags,
        ] {
            clear(column);
        }
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
        self.topics.push(match event.destination {
            Destination::Topic(topic) => Some(topic),
            Destination::Route => None,
            Destination::Nowhere => Some(String::new()),
        });
        self.tags.push(
            (!event.tags.is_empty())
                .then(|| serde_json::to_string(&event.tags).expect("texts have a JSON form")),
        );
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
