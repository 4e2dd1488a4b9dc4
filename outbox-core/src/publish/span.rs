//! A span per event that is sent: from the leaving of its parcel to what the sink says about it.

use tracing::{Span, field};

use super::Error;
use super::lane::Lane;
use super::sink::{Answer, Entry, Parcel, Receipt};
use crate::event::{EntryId, Event, envelope};
use crate::span;
use crate::tail::StreamId;

/// The spans of a parcel on its way, one per entry. None where nobody wants spans.
pub(super) struct Sending(Vec<Span>);

impl Sending {
    /// Begins the spans of a parcel that was packed from the head of `lane`.
    pub(super) fn begin(lane: &Lane, parcel: &Parcel) -> Self {
        if !span::is_wanted() {
            return Self(Vec::new());
        }
        // Here an event is read again: without spans nobody needs more of it than its bytes.
        let read = |entry: &Entry| envelope::decode_entry(&entry.clone().into_fields()).ok();
        let of = |entry: &Entry| match read(entry) {
            Some(event) => begin(&event, &lane.stream, &parcel.stream, entry.id),
            None => Span::none(),
        };
        Self(parcel.entries.iter().map(of).collect())
    }

    /// Ends them with what became of each event.
    pub(super) fn end(self, receipt: &Result<Receipt, Error>) {
        for (n, span) in self.0.into_iter().enumerate() {
            match receipt {
                Ok(receipt) => end(&span, receipt.answers.get(n)),
                Err(error) => fail(&span, "unknown", &error.to_string()),
            }
        }
    }
}

fn begin(event: &Event, stream: &StreamId, key: &str, id: EntryId) -> Span {
    let span = tracing::debug_span!(
        target: span::TARGET,
        parent: None,
        "send",
        otel.name = format!("send {}", stream.topic),
        // The span of the append is what consumers follow, not this one.
        otel.kind = "client",
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
        error.type = field::Empty,
        messaging.system = "redis",
        messaging.operation.name = "send",
        messaging.operation.type = "send",
        messaging.destination.name = stream.topic,
        messaging.destination.partition.id = stream.partition.map(|partition| partition.to_string()),
        messaging.message.id = event.id,
        cloudevents.event_id = event.id,
        cloudevents.event_source = event.source,
        cloudevents.event_type = event.r#type,
        outbox.stream = key,
        outbox.entry_id = %id,
        outbox.outcome = field::Empty,
    );
    span::follow(&span, event.traceparent.as_deref(), event.tracestate.as_deref());
    span
}

fn end(span: &Span, answer: Option<&Answer>) {
    match answer {
        Some(Answer::Durable) => drop(span.record("outbox.outcome", "sent")),
        Some(Answer::Repeated) => drop(span.record("outbox.outcome", "repeated")),
        Some(Answer::Rejected(why)) => fail(span, "rejected", why),
        Some(Answer::Blocked(why)) => fail(span, "blocked", why),
        Some(Answer::Lost(why)) => fail(span, "lost", why),
        None => fail(span, "held", "an event before it on its stream was not taken"),
    }
}

fn fail(span: &Span, outcome: &'static str, why: &str) {
    span.record("outbox.outcome", outcome);
    span.record("error.type", outcome);
    span.record("otel.status_code", "error");
    span.record("otel.status_description", why);
}
