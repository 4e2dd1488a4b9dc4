//! The consumer's spans as a service's own subscriber sees them: within the producer's trace, around the handler's spans, true
//! about what was committed, and not made where nobody wants them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use outbox_core::consume::{HandlerError, HandlerResult, PgConnection};
use outbox_core::event::Event;
use outbox_core::span;
use serde_json::json;
use system_tests::patience::until;
use system_tests::{Failure, Result};
use tracing::Instrument as _;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

use super::bench::{Bench, Member, TOPIC, chain, event, note};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const LIMIT: Duration = Duration::from_secs(120);

/// Keeps the spans that ended.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(batch);
        Ok(())
    }
}

impl Kept {
    /// The spans of this name so far, in the order in which they ended.
    fn named(&self, name: &str) -> Vec<SpanData> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().filter(|span| span.name == name).cloned().collect()
    }

    async fn until_there_are(&self, count: usize, name: &str) -> Result<Vec<SpanData>> {
        until(name, LIMIT, async || {
            let found = self.named(name);
            Ok((found.len() >= count).then_some(found))
        })
        .await
    }
}

/// A service's subscriber that exports, with all that is of interest here. Only for this thread, and so for this test.
fn subscribe(kept: &Kept) -> tracing::subscriber::DefaultGuard {
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(kept.clone())
        .build();
    let wanted = Targets::new()
        .with_target(span::TARGET, LevelFilter::DEBUG)
        .with_target("path", LevelFilter::INFO);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("service"))
        .with_filter(wanted);
    tracing::subscriber::set_default(tracing_subscriber::registry().with(layer))
}

fn attribute(span: &SpanData, name: &str) -> String {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == name);
    found
        .map(|attribute| attribute.value.to_string())
        .unwrap_or_default()
}

async fn put_traced(bench: &mut Bench, place: &(String, String), key: &str, number: i64) -> Result {
    let mut traced = event(Some(&place.1), key, number);
    traced["traceparent"] = json!(format!("00-{TRACE}-{SPAN}-01"));
    bench
        .put_raw(&place.0, "event", traced.to_string().as_bytes())
        .await
}

#[tokio::test]
async fn what_a_handler_does_is_within_the_trace_of_the_producer() -> Result {
    // GIVEN an event of a producer that traces, and a handler that has a span of its own
    let kept = Kept::default();
    let _subscriber = subscribe(&kept);
    let mut bench = Bench::new().await?;
    put_traced(&mut bench, &chain(1)[0], "key-of-a-person", 1).await?;
    fn handle<'a>(tx: &'a mut PgConnection, event: &'a Event) -> BoxFuture<'a, HandlerResult> {
        Box::pin(note(tx, event).instrument(tracing::info_span!(target: "path", "take from stock")))
    }
    // WHEN it is consumed
    let member = Member::start(bench.describe().on(TOPIC, handle))?;
    bench.effects(1).await?;
    // THEN the attempt is a child of the producer's span, and the handler's span a child of the attempt
    let process = kept.until_there_are(1, "process orders.placed").await?.remove(0);
    let own = kept.named("take from stock").remove(0);
    assert_eq!(process.span_context.trace_id().to_string(), TRACE);
    assert_eq!(process.parent_span_id.to_string(), SPAN);
    assert_eq!(own.parent_span_id, process.span_context.span_id());
    for (name, value) in [
        ("messaging.consumer.group.name", "stock"),
        ("messaging.destination.name", TOPIC),
        ("messaging.message.id", "event-1"),
        ("cloudevents.event_source", "/shop"),
        ("outbox.entry_id", "1-1"),
        ("outbox.attempt", "1"),
        ("outbox.outcome", "applied"),
    ] {
        assert_eq!(attribute(&process, name), value, "{name} of {process:#?}");
    }
    assert!(!format!("{process:?}").contains("of-a-person"), "{process:#?}");
    member.stop().await
}

#[tokio::test]
async fn a_span_says_what_became_of_its_event() -> Result {
    // GIVEN an order that is refused for good and one behind it, one that comes twice, and one that panics once
    let kept = Kept::default();
    let _subscriber = subscribe(&kept);
    let mut bench = Bench::new().await?;
    let places = chain(5);
    for (n, key) in [(1, "a"), (2, "a"), (3, "b"), (4, "c")] {
        put_traced(&mut bench, &places[n - 1], key, n as i64).await?;
    }
    put_traced(&mut bench, &places[4], "b", 3).await?;
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    fn handle<'a>(tx: &'a mut PgConnection, event: &'a Event) -> BoxFuture<'a, HandlerResult> {
        match event.id.as_str() {
            "event-1" => Box::pin(async { Err(HandlerError::new("words-of-a-handler").permanent()) }),
            "event-4" if PANICS.fetch_add(1, Ordering::SeqCst) == 0 => {
                Box::pin(async { panic!("words-of-a-handler") })
            }
            _ => note(tx, event),
        }
    }
    // WHEN they are consumed
    let member = Member::start(bench.describe().on(TOPIC, handle))?;
    bench.effects(2).await?;
    bench
        .until("select count(*) = 1 from outbox.parked_event")
        .await?;
    // THEN the last span of each event says what became of it, and none what the handler said
    let last = until("every outcome", LIMIT, async || {
        let mut last: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for span in kept.named("process orders.placed") {
            let told = format!(
                "{} {}",
                attribute(&span, "outbox.outcome"),
                attribute(&span, "error.type")
            );
            last.entry(attribute(&span, "messaging.message.id"))
                .or_default()
                .push(told);
        }
        let ends = |id: &str, wanted: &str| {
            last.get(id)
                .is_some_and(|told| told.iter().any(|told| told == wanted))
        };
        let is_done = ends("event-1", "dead handler")
            && ends("event-2", "parked ")
            && ends("event-3", "applied ")
            && ends("event-3", "duplicate ")
            && ends("event-4", "parked panic")
            && ends("event-4", "applied ");
        Ok(is_done.then_some(last))
    })
    .await;
    let seen = kept.named("process orders.placed");
    let last = last.map_err(|_| Failure::new(format!("{seen:#?}")))?;
    // A transaction that the panic took along applied nothing.
    for told in last.values() {
        assert!(
            told.iter().filter(|told| *told == "applied ").count() <= 1,
            "{last:#?}"
        );
    }
    assert!(!format!("{seen:?}").contains("words-of-a-handler"), "{seen:#?}");
    member.stop().await
}

#[tokio::test]
async fn a_handler_of_several_events_runs_within_the_span_of_the_first_which_points_at_the_others() -> Result
{
    // GIVEN three events, and a handler that takes them together and has a span of its own
    let kept = Kept::default();
    let _subscriber = subscribe(&kept);
    let mut bench = Bench::new().await?;
    for (n, place) in (1..).zip(&chain(3)) {
        put_traced(&mut bench, place, "a", n).await?;
    }
    fn handle<'a>(tx: &'a mut PgConnection, events: &'a [Event]) -> BoxFuture<'a, HandlerResult> {
        let span = tracing::info_span!(target: "path", "take all from stock");
        let noted = async move {
            for event in events {
                note(tx, event).await?;
            }
            Ok(())
        };
        Box::pin(noted.instrument(span))
    }
    // WHEN they are consumed, the first by itself, because nothing is known of the handler, and the others together
    let member = Member::start(bench.describe().concurrency(1).on_batch(TOPIC, handle))?;
    bench.effects(3).await?;
    // THEN each has its span, and the handler's is within the first of a slice
    let spans = kept.until_there_are(3, "process orders.placed").await?;
    assert!(
        spans
            .iter()
            .all(|span| attribute(span, "outbox.outcome") == "applied"),
        "{spans:#?}"
    );
    let own = kept.named("take all from stock");
    let links = own.iter().filter_map(|own| {
        let is_parent = |span: &&SpanData| span.span_context.span_id() == own.parent_span_id;
        Some(spans.iter().find(is_parent)?.links.len())
    });
    let mut links: Vec<usize> = links.collect();
    links.sort_unstable();
    assert_eq!(links, [0, 1], "{spans:#?}");
    member.stop().await
}

/// Counts the spans that are made of a target.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl<S: tracing::Subscriber> Layer<S> for Count {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        if attributes.metadata().target() == span::TARGET {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[tokio::test]
async fn a_service_that_does_not_ask_for_spans_makes_none() -> Result {
    for (level, expected) in [(LevelFilter::INFO, 0), (LevelFilter::DEBUG, 3)] {
        // GIVEN a service that is told as much as most are
        let count = Count::default();
        let subscriber = tracing_subscriber::registry().with(count.clone().with_filter(level));
        let _subscriber = tracing::subscriber::set_default(subscriber);
        let mut bench = Bench::new().await?;
        for (n, place) in (1..).zip(&chain(3)) {
            put_traced(&mut bench, place, "a", n).await?;
        }
        // WHEN it consumes
        let member = bench.start()?;
        bench.effects(3).await?;
        member.stop().await?;
        // THEN there is a span per event only where they are asked for
        assert_eq!(count.0.load(Ordering::SeqCst), expected, "{level}");
    }
    Ok(())
}
