//! Spans: what became of an event, told within the trace of whoever appended it.
//!
//! The publisher makes a span `send <topic>` per event and parcel, the consumer a span `process <topic>` per event and attempt.
//! They are spans of `tracing` with the attributes of OpenTelemetry's conventions for messaging and CloudEvents, so the
//! subscriber of the process decides whether they exist and where they go. With the feature `opentelemetry` each is a child of
//! the span in which its event was appended: the event carries that context, and nobody on the way rewrites it.
//!
//! Authoritative for which trace an event belongs to is the event: its `traceparent` and `tracestate`.
//!
//! Invariants: a span names the event, its type, its source and its place, never its payload, key or subject. Where no
//! subscriber wants [`TARGET`] at level `DEBUG`, no span is made and nothing is formatted.
//!
//! Failure: there is none to handle. A `traceparent` that cannot be read begins a trace of its own.
//!
//! Deliberately absent: an exporter (a service has its own, the relay has one), and spans of batches or of whole lives: they
//! would belong to no trace.

#[cfg(feature = "opentelemetry")]
mod context;

use tracing::{Level, Span};

/// The target of every span of this library. A filter such as `outbox::span=debug` asks for them; `info` leaves them out.
pub const TARGET: &str = "outbox::span";

/// Whether somebody wants spans: cheap enough to be asked per batch.
pub(crate) fn is_wanted() -> bool {
    tracing::span_enabled!(target: TARGET, Level::DEBUG)
}

/// Makes `span` a child of the span in which the event was appended, if the event says which.
#[cfg(feature = "opentelemetry")]
pub(crate) fn follow(span: &Span, traceparent: Option<&str>, tracestate: Option<&str>) {
    use opentelemetry::trace::TraceContextExt as _;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    let Some(appended) = traceparent.and_then(|parent| context::remote(parent, tracestate)) else {
        return;
    };
    let parent = opentelemetry::Context::new().with_remote_span_context(appended);
    // It is refused where the subscriber does not export to OpenTelemetry: then there is no trace to belong to.
    drop(span.set_parent(parent));
}

/// Without OpenTelemetry there is no trace to belong to.
#[cfg(not(feature = "opentelemetry"))]
pub(crate) fn follow(_: &Span, _: Option<&str>, _: Option<&str>) {}
