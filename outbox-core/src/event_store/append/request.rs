//! Pure: what is to be appended to which streams, as the columns that the database takes.

use std::collections::HashSet;

use crate::append::{Columns, Home, Limits, NewEvent};
use crate::event_store::{Error, Expected, StreamName};

/// The statement that both drivers run; its parameters are the fields of [`Call`], in order.
pub(super) const APPEND: &str = include_str!("../../../queries/event_store/append.sql");

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
        Ok(Self {
            streams,
            expected,
            numbers,
            columns: Columns::of(events, Home::Streams, limits)?,
        })
    }
}
