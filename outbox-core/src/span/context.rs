//! Pure: the trace context that an event carries, as W3C writes it.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The span that `traceparent` names, in another process. None if it names none.
///
/// Later versions may append to the four parts of version 00; what they append is not ours to read.
pub(super) fn remote(traceparent: &str, tracestate: Option<&str>) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let mut part = |length: usize| {
        parts
            .next()
            .filter(|part| part.len() == length && part.bytes().all(is_lower_hex))
    };
    let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let state = tracestate.and_then(|state| state.parse::<TraceState>().ok());
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        flags,
        true,
        state.unwrap_or_default(),
    );
    context.is_valid().then_some(context)
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn the_span_of_the_producer_is_found() {
        let found = remote(&format!("00-{TRACE}-{SPAN}-01"), Some("vendor=1,other=2")).expect("a context");
        assert_eq!(found.trace_id().to_string(), TRACE);
        assert_eq!(found.span_id().to_string(), SPAN);
        assert!(found.is_sampled() && found.is_remote());
        assert_eq!(found.trace_state().header(), "vendor=1,other=2");
    }

    #[test]
    fn whether_it_was_sampled_is_kept_and_other_flags_are_not() {
        let sampled = |flags: &str| {
            remote(&format!("00-{TRACE}-{SPAN}-{flags}"), None).map(|context| context.trace_flags().to_u8())
        };
        assert_eq!((sampled("00"), sampled("03")), (Some(0), Some(1)));
    }

    #[test]
    fn a_later_version_may_say_more() {
        assert!(remote(&format!("01-{TRACE}-{SPAN}-01-more"), None).is_some());
        assert!(remote(&format!("00-{TRACE}-{SPAN}-01-more"), None).is_none());
    }

    #[test]
    fn a_state_that_cannot_be_read_does_not_lose_the_trace() {
        let found = remote(&format!("00-{TRACE}-{SPAN}-01"), Some("no list")).expect("a context");
        assert_eq!(found.trace_state().header(), "");
    }

    #[test]
    fn what_names_no_span_is_none() {
        let zero = "0".repeat(32);
        for text in [
            "",
            "00",
            "mine",
            &format!("ff-{TRACE}-{SPAN}-01"),
            &format!("00-{zero}-{SPAN}-01"),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            &format!("00-{TRACE}-{SPAN}"),
            &format!("00-{TRACE}-{SPAN}-0"),
            &format!("00-{TRACE}-{SPAN}-zz"),
        ] {
            assert!(remote(text, None).is_none(), "{text}");
        }
    }
}
