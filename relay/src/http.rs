//! `/livez`, `/readyz` and `/metrics`.
//!
//! Live means that this process can answer, whatever Postgres and Redis do: restarting it would not mend them. Ready means
//! that work is moving, or would at once if the leader died; the answer says why not, and names what else a person should know:
//! what the database knows as a cause of something standing still. There is no login: bind it where only
//! the orchestrator and the monitoring can reach it. Deliberately absent: anything that changes something.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use outbox_core::standing::Standing;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::lag::Asker;

/// The text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Histograms hold what was observed since the last upkeep; this bounds them when nobody scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// What an answer in progress may still take when the process stops.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// How long an answer waits for what is read for it: a probe is given up after a second, a scrape after ten.
const READYZ_WAITS: Duration = Duration::from_millis(500);
const METRICS_WAIT: Duration = Duration::from_secs(2);

/// A listener that is bound but does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

/// Rows of `outbox_ops.causes`, a hundred at most. They do not decide about readiness: that is this process's own.
pub type Causes = Vec<Map<String, Value>>;

#[derive(Clone)]
struct Shown {
    standing: watch::Receiver<Standing>,
    causes: watch::Receiver<Causes>,
    asker: Asker,
    metrics: PrometheusHandle,
}

impl Server {
    /// Listens, and writes the port to `http.port_file` if one is named.
    ///
    /// # Errors
    /// The address is taken or not ours, or the file cannot be written; the text names it.
    pub async fn bind(config: &config::Http) -> std::io::Result<Self> {
        let named = |what: String| {
            move |error: std::io::Error| std::io::Error::new(error.kind(), format!("{what}: {error}"))
        };
        let listener = TcpListener::bind(config.bind)
            .await
            .map_err(named(format!("http.bind {}", config.bind)))?;
        let address = listener.local_addr()?;
        if let Some(path) = &config.port_file {
            write_port(path, address.port()).map_err(named(format!("http.port_file {}", path.display())))?;
        }
        tracing::info!(%address, "listening for /livez, /readyz and /metrics");
        Ok(Self { listener, address })
    }

    /// The address listened on, with the port chosen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the token is cancelled, and a moment longer for what is in progress. What is shown is asked for when somebody asks.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn run(
        self,
        standing: watch::Receiver<Standing>,
        (causes, asker): (watch::Receiver<Causes>, Asker),
        metrics: PrometheusHandle,
        token: CancellationToken,
    ) -> std::io::Result<()> {
        let app = router(standing, (causes, asker), metrics.clone());
        let serving = axum::serve(self.listener, app).with_graceful_shutdown(token.clone().cancelled_owned());
        let upkeep = async {
            let mut tick = tokio::time::interval(UPKEEP_INTERVAL);
            loop {
                tick.tick().await;
                metrics.run_upkeep();
            }
        };
        let overdue = async {
            token.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::select! {
            ended = serving.into_future() => ended,
            () = overdue => Ok(()),
            () = upkeep => Ok(()),
        }
    }
}

/// Binds and answers: [`Server::bind`] and [`Server::run`] for callers that need not know the address.
///
/// # Errors
/// As those two.
pub async fn serve(
    config: &config::Http,
    standing: watch::Receiver<Standing>,
    causes: (watch::Receiver<Causes>, Asker),
    metrics: PrometheusHandle,
    token: CancellationToken,
) -> std::io::Result<()> {
    Server::bind(config)
        .await?
        .run(standing, causes, metrics, token)
        .await
}

/// Readers must never see half of it: written beside and renamed.
fn write_port(path: &Path, port: u16) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, format!("{port}\n"))?;
    std::fs::rename(&beside, path)
}

fn router(
    standing: watch::Receiver<Standing>,
    (causes, asker): (watch::Receiver<Causes>, Asker),
    metrics: PrometheusHandle,
) -> Router {
    Router::new()
        .route("/livez", get(async || Json(serde_json::json!({ "live": true }))))
        .route("/readyz", get(readyz))
        .route(
            "/metrics",
            get(async |State(shown): State<Shown>| {
                shown.asker.ask(METRICS_WAIT).await;
                ([(header::CONTENT_TYPE, METRICS_TYPE)], shown.metrics.render())
            }),
        )
        .with_state(Shown {
            standing,
            causes,
            asker,
            metrics,
        })
}

async fn readyz(State(shown): State<Shown>) -> impl IntoResponse {
    shown.asker.ask(READYZ_WAITS).await;
    let standing = shown.standing.borrow().clone();
    let status = if standing.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = serde_json::json!({
        "ready": standing.is_ready(),
        "standing": standing.word(),
        "cause": standing.cause(),
        "causes": *shown.causes.borrow(),
    });
    (status, Json(body))
}
