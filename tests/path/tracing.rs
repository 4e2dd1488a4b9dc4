//! Spans: each belongs to the trace of the producer, says where the event went and nothing of what it holds, and nobody waits
//! for the collector.

use std::time::{Duration, Instant};

use outbox_core::append::{NewEvent, append, append_many};
use sqlx::{Executor, PgConnection};
use system_tests::collector::{Collector, Received, SpanKind};
use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::{Fault, Proxy, Relay, Result, Schema, World};

use crate::arrivals::arrived;
use crate::tls::certificates;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const TOPIC: &str = "orders.placed";
const STREAM: &str = "outbox:orders.placed";
/// Stopping waits for the last spans for three seconds, and for nothing else here.
const STOP_LIMIT: Duration = Duration::from_secs(8);
/// What only says that something hangs.
const PATIENCE: Duration = Duration::from_secs(120);

fn sampled() -> String {
    format!("00-{TRACE}-{SPAN}-01")
}

/// A relay that exports what it has every few milliseconds.
fn exporting(world: &World, endpoint: &str) -> RelayOptions {
    Relay::of(world)
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .set("OTEL_BSP_SCHEDULE_DELAY", 50)
}

async fn append_all(connection: &mut PgConnection, count: usize) -> Result {
    for n in 0..count {
        append(connection, NewEvent::new(TOPIC).traceparent(sampled()).json(&n)).await?;
    }
    Ok(())
}

fn is_send(span: &Received) -> bool {
    span.name == format!("send {TOPIC}")
}

#[tokio::test]
async fn an_event_is_sent_within_the_trace_of_its_producer() -> Result {
    // GIVEN an event of a producer that traces, with a key and a payload
    let world = World::new().await?;
    let collector = Collector::start().await?;
    let event = NewEvent::new(TOPIC)
        .event_type("order.placed")
        .source("/shop")
        .traceparent(sampled())
        .tracestate("vendor=1")
        .key("key-of-a-person")
        .subject("subject-of-a-person")
        .json("payload-of-a-person");
    let id = append(&mut world.connect().await?, event).await?;
    // WHEN a relay publishes it that exports
    let mut relay = exporting(&world, &collector.endpoint())
        .set("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hush")
        .start()?;
    relay.leads().await?;
    // THEN there is one span, a child of the producer's, that says what went where
    let spans = collector.spans_of(1, is_send).await?;
    let entries = arrived(&mut world.redis().await?, STREAM, 1).await?;
    let span = &spans[0];
    assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, SPAN));
    assert_eq!(
        (span.state.as_str(), span.service.as_str()),
        ("vendor=1", "outbox-relay")
    );
    for (name, value) in [
        ("messaging.system", "redis"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", TOPIC),
        ("messaging.message.id", &id.to_string()),
        ("cloudevents.event_id", &id.to_string()),
        ("cloudevents.event_source", "/shop"),
        ("cloudevents.event_type", "order.placed"),
        ("outbox.stream", STREAM),
        ("outbox.entry_id", &entries[0].id.to_string()),
        ("outbox.outcome", "sent"),
    ] {
        assert_eq!(span.attribute(name), value, "{name} of {span:#?}");
    }
    assert!(span.error.is_none() && span.nanoseconds > 0);
    // AND nothing of what the event holds, and the headers that were asked for
    assert!(!collector.holds("of-a-person"));
    let head = &collector.requests()[0];
    assert!(
        head.starts_with("POST /v1/traces ") && head.contains("api-key: hush"),
        "{head}"
    );
    Ok(())
}

#[tokio::test]
async fn a_consumer_without_code_adds_its_span_to_the_same_trace() -> Result {
    // GIVEN a relay and a consumer that export to the same place
    let world = World::with_schema(Schema::Both).await?;
    let collector = Collector::start().await?;
    let mut connection = world.connect().await?;
    let function = "create function public.apply(event json) returns void language sql as ''";
    connection.execute(function).await?;
    let mut relay = exporting(&world, &collector.endpoint()).start()?;
    relay.leads().await?;
    let arguments = [
        "consume",
        "--group",
        "stock",
        "--topic",
        TOPIC,
        "--call",
        "public.apply",
    ];
    let mut consumer = Relay::command(&arguments)
        .set("DATABASE_URL", world.database_url())
        .set("REDIS_URL", world.redis_url())
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .set("OTEL_SERVICE_NAME", "stock")
        .start()?;
    consumer.ready().await?;
    // WHEN an event goes all the way
    append_all(&mut connection, 1).await?;
    let is_process = |span: &Received| span.name == format!("process {TOPIC}");
    collector.spans_of(1, is_send).await?;
    arrived(&mut world.redis().await?, STREAM, 1).await?;
    let applied = "select exists (select from outbox.inbox where outcome = 'applied')";
    until("the effect", PATIENCE, async || {
        let is_there: bool = sqlx::query_scalar(applied).fetch_one(&mut connection).await?;
        Ok(is_there.then_some(()))
    })
    .await?;
    // THEN the end of the consumer sends what it still has, and both spans are children of the producer's
    assert!(consumer.terminate().await?.success());
    let spans = collector.spans_of(1, is_process).await?;
    let process = &spans[0];
    assert_eq!((process.trace.as_str(), process.parent.as_str()), (TRACE, SPAN));
    assert_eq!(
        (process.service.as_str(), process.kind),
        ("stock", SpanKind::Consumer)
    );
    assert_eq!(process.attribute("outbox.outcome"), "applied");
    Ok(())
}

#[tokio::test]
async fn what_the_producer_did_not_sample_is_not_exported_and_what_has_no_trace_begins_one() -> Result {
    // GIVEN an event that its producer did not sample, one whose context is no context, and one without any
    let world = World::new().await?;
    let collector = Collector::start().await?;
    let mut connection = world.connect().await?;
    let unsampled = NewEvent::new(TOPIC).traceparent(format!("00-{TRACE}-{SPAN}-00"));
    append(&mut connection, unsampled).await?;
    append(&mut connection, NewEvent::new(TOPIC).traceparent("garbage")).await?;
    append(&mut connection, NewEvent::new(TOPIC)).await?;
    // WHEN they are published by a relay that exports under another name
    let mut relay = exporting(&world, &collector.endpoint())
        .set("OTEL_SERVICE_NAME", "shop-relay")
        .start()?;
    relay.leads().await?;
    arrived(&mut world.redis().await?, STREAM, 3).await?;
    // THEN when all were sent, the last two are there and begin traces of their own
    assert!(relay.terminate().await?.success());
    let spans = collector.spans();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    assert!(
        spans
            .iter()
            .all(|span| span.parent.is_empty() && span.service == "shop-relay")
    );
    assert!(spans[0].trace != spans[1].trace && spans.iter().all(|span| span.trace != TRACE));
    Ok(())
}

#[tokio::test]
async fn nothing_is_exported_unless_a_variable_asks_for_it() -> Result {
    for (variable, value) in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ] {
        // GIVEN a collector, and a variable that says no
        let world = World::new().await?;
        let collector = Collector::start().await?;
        append_all(&mut world.connect().await?, 2).await?;
        let mut relay = exporting(&world, &collector.endpoint())
            .set(variable, value)
            .start()?;
        // WHEN the relay published and ended THEN nobody was asked
        arrived(&mut world.redis().await?, STREAM, 2).await?;
        assert!(relay.terminate().await?.success());
        assert_eq!(collector.requests().len(), 0, "{variable}");
        assert_eq!(
            relay.log_tail().contains("speaks http/protobuf only"),
            value == "grpc",
            "{}",
            relay.log_tail()
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_collector_that_is_not_there_holds_nothing_back_and_every_span_is_accounted_for() -> Result {
    const EVENTS: usize = 200;
    // GIVEN an address where nobody listens, and room for few spans
    let world = World::new().await?;
    let mut relay = exporting(&world, "http://127.0.0.1:1")
        .set("OTEL_BSP_MAX_QUEUE_SIZE", 16)
        .start()?;
    relay.leads().await?;
    // WHEN more events are appended THEN all are published, and the spans are counted as lost
    append_all(&mut world.connect().await?, EVENTS).await?;
    arrived(&mut world.redis().await?, STREAM, EVENTS).await?;
    relay.logs("spans are not exported", PATIENCE).await?;
    until("every span is counted", PATIENCE, async || {
        let counted = relay.metric("outbox_otlp_spans_total").await?;
        Ok((counted == EVENTS as f64).then_some(()))
    })
    .await?;
    let (_, metrics) = relay.get("/metrics").await?;
    assert!(
        metrics.contains(r#"outbox_otlp_spans_total{outcome="failed"}"#),
        "{metrics}"
    );
    assert!(!metrics.contains(r#"outcome="exported""#));
    assert!(relay.terminate().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_collector_that_never_answers_delays_the_end_by_seconds_at_most() -> Result {
    // GIVEN a collector behind which everything stops
    let world = World::new().await?;
    let collector = Collector::start().await?;
    let proxy = Proxy::before(collector.port()).await?;
    proxy.inflict(Fault::Hold);
    let mut relay = exporting(&world, &format!("http://127.0.0.1:{}", proxy.port())).start()?;
    relay.leads().await?;
    append_all(&mut world.connect().await?, 10).await?;
    arrived(&mut world.redis().await?, STREAM, 10).await?;
    // WHEN the relay is asked to end THEN it does
    let began = Instant::now();
    assert!(relay.terminate().await?.success());
    assert!(began.elapsed() < STOP_LIMIT, "{:?}", began.elapsed());
    assert_eq!(collector.spans().len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_span_says_why_its_event_is_not_on_its_stream() -> Result {
    // GIVEN something else under the stream's key
    let world = World::new().await?;
    let collector = Collector::start().await?;
    let mut redis = world.redis().await?;
    redis::cmd("SET")
        .arg(STREAM)
        .arg("x")
        .query_async::<()>(&mut redis)
        .await?;
    let mut relay = exporting(&world, &collector.endpoint()).start()?;
    relay.leads().await?;
    // WHEN two events are to be sent there
    let mut connection = world.connect().await?;
    let events = (0..2)
        .map(|_| NewEvent::new(TOPIC).traceparent(sampled()))
        .collect();
    append_many(&mut connection, events).await?;
    // THEN the span of each says why it is not there
    for span in collector.spans_of(2, is_send).await? {
        assert_eq!(span.attribute("outbox.outcome"), "blocked", "{span:#?}");
        let said = span.error.as_deref().unwrap_or_default();
        assert!(said.contains("WRONGTYPE"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_collector_behind_tls_is_reached_if_its_authority_is_trusted() -> Result {
    // GIVEN a collector with a certificate of an authority of our own
    let certificates = certificates("localhost")?;
    let world = World::new().await?;
    let collector = Collector::start_tls(&certificates.certificate, &certificates.key).await?;
    append_all(&mut world.connect().await?, 1).await?;
    // WHEN another authority is trusted THEN no span goes there, and it is said why
    let mut wary = exporting(&world, &collector.endpoint())
        .set("OTEL_EXPORTER_OTLP_CERTIFICATE", certificates.stranger.display())
        .start()?;
    wary.logs("invalid peer certificate", PATIENCE).await?;
    assert!(wary.terminate().await?.success());
    assert_eq!(collector.spans().len(), 0);
    // WHEN ours is THEN spans go there, compressed if that is asked for
    let mut trusting = exporting(&world, &collector.endpoint())
        .set("OTEL_EXPORTER_OTLP_CERTIFICATE", certificates.authority.display())
        .set("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .start()?;
    trusting.leads().await?;
    append_all(&mut world.connect().await?, 1).await?;
    collector.spans_of(1, is_send).await?;
    assert!(collector.requests()[0].contains("content-encoding: gzip"));
    Ok(())
}

#[tokio::test]
async fn spans_flow_again_when_the_collector_does() -> Result {
    // GIVEN a collector that refuses
    let world = World::new().await?;
    let collector = Collector::start().await?;
    collector.answer(400);
    let mut relay = exporting(&world, &collector.endpoint()).start()?;
    relay.leads().await?;
    let mut connection = world.connect().await?;
    append_all(&mut connection, 1).await?;
    relay.logs("it answered 400", PATIENCE).await?;
    // WHEN it takes spans again THEN the next ones come, and the relay says so
    collector.answer(200);
    append_all(&mut connection, 1).await?;
    collector.spans_of(1, is_send).await?;
    relay.logs("spans are exported again", PATIENCE).await?;
    Ok(())
}
