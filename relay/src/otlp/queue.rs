//! What waits to be exported: bounded, and every span that does not arrive is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BSP_MAX_QUEUE_SIZE_DEFAULT, Span,
    SpanData, SpanExporter, SpanProcessor,
};

/// Spans that ended, by `outcome`: exported, failed (the collector did not take them) or dropped (too many waited) (counter).
pub const SPANS: &str = "outbox_otlp_spans_total";

/// Lets so many spans wait as `OTEL_BSP_MAX_QUEUE_SIZE` says, those on their way included. The next ones are dropped: whoever
/// ends a span never waits.
#[derive(Debug)]
pub(super) struct Queue {
    inner: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    room: usize,
}

impl Queue {
    pub(super) fn before<E: SpanExporter + 'static>(exporter: E) -> Self {
        let room = std::env::var(OTEL_BSP_MAX_QUEUE_SIZE)
            .ok()
            .and_then(|size| size.trim().parse().ok())
            .filter(|size| *size > 0)
            .unwrap_or(OTEL_BSP_MAX_QUEUE_SIZE_DEFAULT);
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = Counted {
            exporter,
            waiting: waiting.clone(),
        };
        let config = BatchConfigBuilder::default().with_max_queue_size(room).build();
        Self {
            inner: BatchSpanProcessor::builder(counted)
                .with_batch_config(config)
                .build(),
            waiting,
            room,
        }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.room {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            metrics::counter!(SPANS, "outcome" => "dropped").increment(1);
            return;
        }
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, limit: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(limit)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    waiting: Arc<AtomicUsize>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let exported = self.exporter.export(batch).await;
        let outcome = if exported.is_ok() { "exported" } else { "failed" };
        metrics::counter!(SPANS, "outcome" => outcome).increment(count as u64);
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        exported
    }

    fn shutdown_with_timeout(&self, limit: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(limit)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
