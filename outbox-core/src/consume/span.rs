//! A span per event and attempt: from the call of its handler to what the transaction made of it.
//!
//! What the handler does is within it: its own spans are its children. It says `applied` only if the transaction was
//! committed; one that was undone says so, and the attempt comes again under another span.

use tracing::{Span, field};

use super::place::Place;
use super::retry::Next;
use crate::event::{EntryId, Event};
use crate::span;

/// The spans of one transaction. None where nobody wants spans.
#[derive(Default)]
pub(super) struct Spans(Vec<Attempt>);

struct Attempt {
    id: EntryId,
    span: Span,
    /// What becomes of the event if the transaction is committed.
    outcome: &'static str,
    /// What went wrong.
    class: Option<String>,
    /// It is so whether or not the transaction is committed.
    stays: bool,
}

impl Spans {
    /// Begins an attempt, for the handler to be called within.
    pub(super) fn begin(&mut self, place: &Place, id: EntryId, event: &Event, number: u32) -> Span {
        self.mark(place, id, event, number, "applied")
    }

    /// Of an event that no handler is called for: what becomes of it.
    pub(super) fn mark(
        &mut self,
        place: &Place,
        id: EntryId,
        event: &Event,
        number: u32,
        outcome: &'static str,
    ) -> Span {
        if !span::is_wanted() {
            return Span::none();
        }
        let span = make(place, id, event, number);
        self.0.push(Attempt {
            id,
            span: span.clone(),
            outcome,
            class: None,
            stays: false,
        });
        span
    }

    /// The attempt failed, and what it did is undone: the event waits, or is given up, with this transaction.
    pub(super) fn fail(&mut self, id: EntryId, class: &str, next: Next) {
        let outcome = if next == Next::Dead { "dead" } else { "parked" };
        self.note(id, outcome, class, false);
    }

    /// The attempt took the whole transaction with it: the event waits, or is given up, in another one.
    pub(super) fn lose(&mut self, id: EntryId, class: &str, next: Next) {
        let outcome = if next == Next::Dead { "dead" } else { "parked" };
        self.note(id, outcome, class, true);
    }

    /// The attempt ended the transaction and counts for nothing.
    pub(super) fn give_back(&mut self, id: EntryId, class: &str) {
        self.note(id, "undone", class, true);
    }

    fn note(&mut self, id: EntryId, outcome: &'static str, class: &str, stays: bool) {
        // The latest: one that was known to fail has no attempt of its own here.
        if let Some(attempt) = self.0.iter_mut().rev().find(|attempt| attempt.id == id) {
            attempt.outcome = outcome;
            attempt.class = Some(class.to_owned());
            attempt.stays = stays;
        }
    }

    /// Ends them all.
    pub(super) fn end(self, is_committed: bool) {
        for attempt in self.0 {
            let Attempt {
                span, outcome, class, ..
            } = attempt;
            let counts = is_committed || attempt.stays;
            span.record("outbox.outcome", if counts { outcome } else { "undone" });
            if let (Some(class), true) = (class, counts) {
                span.record("error.type", class);
                span.record("otel.status_code", "error");
            }
        }
    }
}

fn make(place: &Place, id: EntryId, event: &Event, number: u32) -> Span {
    let stream = &place.stream;
    let span = tracing::debug_span!(
        target: span::TARGET,
        parent: None,
        "process",
        otel.name = format!("process {}", stream.topic),
        otel.kind = "consumer",
        otel.status_code = field::Empty,
        error.type = field::Empty,
        messaging.system = "redis",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.consumer.group.name = place.store().consumer(),
        messaging.destination.name = stream.topic,
        messaging.destination.partition.id = stream.partition.map(|partition| partition.to_string()),
        messaging.message.id = event.id,
        cloudevents.event_id = event.id,
        cloudevents.event_source = event.source,
        cloudevents.event_type = event.r#type,
        outbox.stream = stream.key,
        outbox.entry_id = %id,
        outbox.attempt = number,
        outbox.outcome = field::Empty,
    );
    span::follow(&span, event.traceparent.as_deref(), event.tracestate.as_deref());
    span
}
