//! The trace context of the current span, for events that bring none. It is the start of the transmission: it is stored
//! with the event and copied verbatim from there on.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::new_event::NewEvent;

/// The database refuses longer ones; a vendor's list that long is left out rather than failing the business.
const TRACESTATE_BYTES_MAX: usize = 2048;

/// Gives every event without a trace context the current one, when there is one.
pub(super) fn fill(events: &mut [NewEvent]) {
    if events.iter().all(|event| event.traceparent.is_some()) {
        return;
    }
    let of_span = tracing::Span::current().context();
    let current = if of_span.span().span_context().is_valid() {
        of_span
    } else {
        Context::current()
    };
    let span = current.span();
    let Some((traceparent, tracestate)) = written(span.span_context()) else {
        return;
    };
    for event in events.iter_mut().filter(|event| event.traceparent.is_none()) {
        event.traceparent = Some(traceparent.clone());
        event.tracestate = event.tracestate.take().or_else(|| tracestate.clone());
    }
}

/// The span as W3C writes it.
fn written(span: &SpanContext) -> Option<(String, Option<String>)> {
    let traceparent = format!(
        "00-{}-{}-{:02x}",
        span.trace_id(),
        span.span_id(),
        span.trace_flags().to_u8()
    );
    let tracestate = span.trace_state().header();
    let fits = (1..=TRACESTATE_BYTES_MAX).contains(&tracestate.len());
    span.is_valid().then(|| (traceparent, fits.then_some(tracestate)))
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    fn context() -> Context {
        let state = TraceState::from_key_value([("vendor", "1")]).expect("a valid state");
        let span = SpanContext::new(
            TraceId::from(0xabc),
            SpanId::from(0xdef),
            TraceFlags::SAMPLED,
            true,
            state,
        );
        Context::new().with_remote_span_context(span)
    }

    #[test]
    fn the_current_context_is_taken_unless_the_event_has_one() {
        let mut events = [NewEvent::new("a"), NewEvent::new("b").traceparent("00-mine")];
        let guard = context().attach();
        fill(&mut events);
        drop(guard);
        assert_eq!(
            events[0].traceparent.as_deref(),
            Some("00-00000000000000000000000000000abc-0000000000000def-01")
        );
        assert_eq!(events[0].tracestate.as_deref(), Some("vendor=1"));
        assert_eq!(
            (events[1].traceparent.as_deref(), events[1].tracestate.as_deref()),
            (Some("00-mine"), None)
        );
    }

    #[test]
    fn without_a_span_nothing_is_added() {
        let mut events = [NewEvent::new("a")];
        fill(&mut events);
        assert_eq!(events[0].traceparent, None);
    }
}
