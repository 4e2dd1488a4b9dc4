//! Logs on standard error and the registry of metrics. Neither ever holds a payload or a secret.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{Format, Log};
use crate::exit::Failure;
use crate::otlp::Exporter;

/// From a tenth of a millisecond, what a commit takes, to minutes, what an outage takes.
const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0, 60.0, 300.0,
];
/// The pool repeats every notice of the server at `info`, and spans are for collectors; a filter that names them is heard.
const QUIET: &str = "sqlx=warn,outbox::span=off";
/// What a handler raises as a notice or a warning quotes what it was given; no filter lets it in.
const SILENT: &str = "sqlx::postgres::notice=off";
/// Sizes of batches: powers of four.
const EVENTS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
];

/// Starts logging, and the making of spans if there is somebody to export them. To be called once.
///
/// # Errors
/// The filter cannot be read, or logging was started before.
pub fn start(config: &Log, exporter: Option<&Exporter>) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(format!("{QUIET},{},{SILENT}", config.level))
        .map_err(|error| Failure::error(format!("log.level: {error}")))?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match config.format {
        Format::Text => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    let started = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(exporter.map(Exporter::layer))
        .try_init();
    started.map_err(|error| Failure::error(format!("logging could not be started: {error}")))
}

/// Makes the registry of metrics, which every `metrics::counter!` and the like then reach. To be called once.
///
/// # Errors
/// A registry exists already.
pub fn metrics() -> Result<PrometheusHandle, Failure> {
    let failed = |error: metrics_exporter_prometheus::BuildError| {
        Failure::error(format!("metrics could not be started: {error}"))
    };
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_events".to_owned()), EVENTS))
        .map_err(failed)?;
    let handle = builder.install_recorder().map_err(failed)?;
    metrics::describe_gauge!(BUILD_INFO, "Always 1; the label names the version.");
    metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}

/// Which version runs.
pub const BUILD_INFO: &str = "outbox_build_info";
