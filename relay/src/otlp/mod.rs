//! Spans to a collector, by OTLP over HTTP (`http/protobuf`). Off unless OpenTelemetry's standard variables ask for it.
//!
//! Authoritative for how and where to are those variables (`OTEL_…`), which every other process of a system reads as well; they
//! are no settings of ours.
//!
//! Invariants: nothing waits for the collector. What waits for it is bounded, what does not arrive is counted, and stopping
//! takes no longer than [`FLUSH`] for it.
//!
//! Failure: a collector that is not there, or variables that make no sense, are a warning; events go on.
//!
//! Deliberately absent: gRPC, certificates of clients, proxies, and the export of logs and metrics.

mod variables;

mod client;

mod queue;

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use outbox_core::span;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use self::client::Client;
use self::queue::Queue;
use self::variables::Export;
use crate::connect::{chain, trusting};

pub use self::queue::SPANS;

/// How long the end of the program may wait for the last spans to leave.
pub const FLUSH: Duration = Duration::from_secs(3);

/// What turns spans into requests to a collector.
#[derive(Debug)]
pub struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// What the environment asks for, if it does, and what about it cannot be done. Requests will run on `runtime`.
    #[must_use]
    pub fn of_environment(runtime: Handle) -> (Option<Self>, Vec<String>) {
        let mut wanted = variables::read(|name| std::env::var(name).ok());
        let exporter = wanted.export.and_then(|export| {
            Self::new(runtime, &export)
                .map_err(|problem| wanted.warnings.push(format!("spans are not exported: {problem}")))
                .ok()
        });
        (exporter, wanted.warnings)
    }

    fn new(runtime: Handle, export: &Export) -> Result<Self, String> {
        let tls = trusting(export.certificate.as_deref())?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(runtime, export.timeout, tls))
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(export.timeout)
            .build()
            .map_err(|error| chain(&error))?;
        let mut resource = Resource::builder();
        if !export.service_is_named {
            resource = resource.with_service_name("outbox-relay");
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_span_processor(Queue::before(exporter))
            .build();
        Ok(Self { provider })
    }

    /// The part of a subscriber that takes our spans, and no log line.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("outbox-relay"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(span::TARGET, LevelFilter::DEBUG))
    }

    /// Sends what waits, for at most [`FLUSH`]. The runtime must still run, and this not be one of its threads.
    pub fn flush(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH) {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}
