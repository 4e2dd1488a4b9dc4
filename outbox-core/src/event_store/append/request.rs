//! Pure: what is to be appended to which streams, as the columns that the database takes.

use std::collections::HashSet;

use uuid::Uuid;

use crate::append::{Columns, Home, Limits, NewEvent};
use crate::event_store::{Error, Expected, StreamName};

/// The statement that both drivers run; its parameters are the fields of [`Call`], in order.
pub(super) const APPEND: &str = include_str!("../../../queries/event_store/append.sql");

/// The statement for one event without rarely used attributes; its parameters are the fields of [`Single`], in order.
pub(super) const APPEND_STORED: &str = include_str!("../../../queries/event_store/append_stored.sql");

/// No call appends to more streams: each is a lock.
const STREAMS_MAX: usize = 1_000;

/// Events for one stream.
#[derive(Clone, Debug)]
pub struct StreamAppend {
    /// The stream.
    pub stream: StreamName,
    /// Where it must be.
    pub expected: Expected,
    /// What is appended, in this order; none: only the version is asked for, and held until the transaction ends.
    pub events: Vec<NewEvent>,
}

/// The arrays of `outbox.append_to_streams`.
pub(in crate::event_store) struct Call {
    pub(in crate::event_store) streams: Vec<String>,
    pub(in crate::event_store) expected: Vec<Option<i64>>,
    /// Of each event the stream that it goes to, from 1 on.
    pub(in crate::event_store) numbers: Vec<i32>,
    pub(in crate::event_store) columns: Columns,
}

impl Call {
    /// Checks the request and lays it out.
    pub(in crate::event_store) fn of(appends: Vec<StreamAppend>, limits: &Limits) -> Result<Self, Error> {
        if appends.len() > STREAMS_MAX {
            return Err(Error::refused(format!(
                "a call appends to at most {STREAMS_MAX} streams, got {}",
                appends.len()
            )));
        }
        let mut seen = HashSet::with_capacity(appends.len());
        if let Some(twice) = appends.iter().find(|append| !seen.insert(&append.stream)) {
            return Err(Error::refused(format!(
                "stream {} comes twice in one call",
                twice.stream
            )));
        }
        let (mut streams, mut expected, mut numbers, mut events) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for append in appends {
            streams.push(append.stream.to_string());
            expected.push(append.expected.told());
            let number = i32::try_from(streams.len()).expect("a thousand streams at most");
            numbers.extend(append.events.iter().map(|_| number));
            events.extend(append.events);
        }
        let mut columns = Columns::of(events, Home::Streams, limits)?;
        columns.leave_out_absent();
        Ok(Self {
            streams,
            expected,
            numbers,
            columns,
        })
    }

    /// The one event of the call, if it is one that `outbox.append_stored` takes.
    pub(super) fn single(&self) -> Option<Single<'_>> {
        let columns = &self.columns;
        let ([stream], [expected], [id], [Some(r#type)]) = (
            &self.streams[..],
            &self.expected[..],
            &columns.ids[..],
            &columns.types[..],
        ) else {
            return None;
        };
        let is_rare = !columns.times.is_empty()
            || !columns.data_binaries.is_empty()
            || [
                &columns.sources,
                &columns.subjects,
                &columns.data_content_types,
                &columns.data_schemas,
                &columns.extensions,
                &columns.tags,
            ]
            .into_iter()
            .any(|column| !column.is_empty());
        (!is_rare).then(|| Single {
            stream,
            expected: *expected,
            id: *id,
            topic: first(&columns.topics),
            r#type,
            schema_version: first(&columns.schema_versions),
            correlation_id: first(&columns.correlation_ids),
            causation_id: first(&columns.causation_ids),
            traceparent: first(&columns.traceparents),
            tracestate: first(&columns.tracestates),
            data: first(&columns.data),
        })
    }
}

fn first(column: &[Option<String>]) -> Option<&str> {
    column.first().and_then(Option::as_deref)
}

/// What `outbox.append_stored` takes.
pub(super) struct Single<'c> {
    pub(super) stream: &'c str,
    pub(super) expected: Option<i64>,
    pub(super) id: Uuid,
    /// None: that of its route; empty: nowhere.
    pub(super) topic: Option<&'c str>,
    pub(super) r#type: &'c str,
    pub(super) schema_version: Option<&'c str>,
    pub(super) correlation_id: Option<&'c str>,
    pub(super) causation_id: Option<&'c str>,
    pub(super) traceparent: Option<&'c str>,
    pub(super) tracestate: Option<&'c str>,
    pub(super) data: Option<&'c str>,
}
