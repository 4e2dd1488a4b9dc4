//! A collector of OpenTelemetry on loopback: takes OTLP over HTTP, keeps the spans, and can be asked what came.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use prost::Message as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::patience::until;
use crate::{Failure, Result};

/// Long enough for an exporter that sends every few seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// One span, as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// `service.name` of its resource.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: SpanKind,
    /// Its trace, in hexadecimal.
    pub trace: String,
    /// Its id.
    pub id: String,
    /// Its parent; empty if it has none.
    pub parent: String,
    /// Vendors' part of its context.
    pub state: String,
    /// Its attributes as text.
    pub attributes: BTreeMap<String, String>,
    /// What its status says, if that is an error.
    pub error: Option<String>,
    /// The spans it links to, as trace and id.
    pub links: Vec<(String, String)>,
    /// Its events.
    pub events: Vec<String>,
    /// Nanoseconds from its start to its end.
    pub nanoseconds: u64,
}

impl Received {
    /// An attribute; empty if it has none of that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// A running collector. Dropped: gone.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    scheme: &'static str,
    kept: Arc<Mutex<Kept>>,
    status: watch::Sender<u16>,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Kept {
    requests: Vec<String>,
    bytes: Vec<u8>,
    spans: Vec<Received>,
}

impl Collector {
    /// Over plain HTTP.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> Result<Self> {
        Self::listen(None).await
    }

    /// Over TLS, with this certificate and key.
    ///
    /// # Errors
    /// When they cannot be read, or no port is free.
    pub async fn start_tls(certificate: &Path, key: &Path) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain =
            CertificateDer::pem_file_iter(certificate)?.collect::<std::result::Result<Vec<_>, _>>()?;
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
        Self::listen(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let kept = Arc::new(Mutex::new(Kept::default()));
        let (status, answers) = watch::channel(200);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, tls, kept.clone(), answers));
        Ok(Self {
            address,
            scheme,
            kept,
            status,
            _tasks: tasks,
        })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` must be.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.port())
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Answers with this status from now on; with anything but 200 the spans are not kept.
    pub fn answer(&self, status: u16) {
        self.status.send_replace(status);
    }

    /// The spans that came, in order.
    #[must_use]
    pub fn spans(&self) -> Vec<Received> {
        self.kept().spans.clone()
    }

    /// The heads of the requests that came.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.kept().requests.clone()
    }

    /// True when any request held these bytes.
    #[must_use]
    pub fn holds(&self, text: &str) -> bool {
        self.kept()
            .bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    }

    /// Waits until so many spans came of which this is true, and returns them.
    ///
    /// # Errors
    /// With what came instead.
    pub async fn spans_of(&self, count: usize, wanted: impl Fn(&Received) -> bool) -> Result<Vec<Received>> {
        let came = until("the spans", LIMIT, async || {
            let found: Vec<Received> = self.spans().into_iter().filter(|span| wanted(span)).collect();
            Ok((found.len() >= count).then_some(found))
        })
        .await;
        came.map_err(|_| {
            Failure::new(format!(
                "{count} such spans did not come, but {:#?}",
                self.spans()
            ))
        })
    }

    /// Waits until so many requests came.
    ///
    /// # Errors
    /// When they do not come.
    pub async fn asked(&self, count: usize) -> Result {
        until("requests to the collector", LIMIT, async || {
            Ok((self.requests().len() >= count).then_some(()))
        })
        .await
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    kept: Arc<Mutex<Kept>>,
    answers: watch::Receiver<u16>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { return };
                let (tls, kept, answers) = (tls.clone(), kept.clone(), answers.clone());
                connections.spawn(async move {
                    // How a client ends its connection is its own affair.
                    match tls {
                        None => drop(serve(socket, &kept, &answers).await),
                        Some(tls) => {
                            if let Ok(socket) = tls.accept(socket).await {
                                drop(serve(socket, &kept, &answers).await);
                            }
                        }
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One request after the other, until the client is gone.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    socket: S,
    kept: &Mutex<Kept>,
    answers: &watch::Receiver<u16>,
) -> Result {
    let mut socket = BufReader::new(socket);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if socket.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length:")?
                .trim()
                .parse()
                .ok()
        });
        let mut body = vec![0; length.unwrap_or(0)];
        socket.read_exact(&mut body).await?;
        if head.to_ascii_lowercase().contains("content-encoding: gzip") {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut plain)?;
            body = plain;
        }
        let status = *answers.borrow();
        keep(kept, head, body, status)?;
        let answer = format!(
            "HTTP/1.1 {status} said\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
        );
        socket.write_all(answer.as_bytes()).await?;
        socket.flush().await?;
    }
}

fn keep(kept: &Mutex<Kept>, head: String, body: Vec<u8>, status: u16) -> Result {
    let mut spans = Vec::new();
    for resource in ExportTraceServiceRequest::decode(body.as_slice())?.resource_spans {
        let about = resource
            .resource
            .map(|resource| texts(&resource.attributes))
            .unwrap_or_default();
        let service = about.get("service.name").cloned().unwrap_or_default();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(received(&service, span));
        }
    }
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.requests.push(head);
    kept.bytes.extend(body);
    if status == 200 {
        kept.spans.extend(spans);
    }
    Ok(())
}

fn received(service: &str, span: Span) -> Received {
    let status = span.status.clone().unwrap_or_default();
    Received {
        service: service.to_owned(),
        kind: span.kind(),
        trace: hexadecimal(&span.trace_id),
        id: hexadecimal(&span.span_id),
        parent: hexadecimal(&span.parent_span_id),
        attributes: texts(&span.attributes),
        error: (status.code() == StatusCode::Error).then_some(status.message),
        links: span
            .links
            .iter()
            .map(|link| (hexadecimal(&link.trace_id), hexadecimal(&link.span_id)))
            .collect(),
        events: span.events.into_iter().map(|event| event.name).collect(),
        nanoseconds: span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano),
        name: span.name,
        state: span.trace_state,
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &AnyValue| match &value.value {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::DoubleValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(truth)) => truth.to_string(),
        other => format!("{other:?}"),
    };
    attributes
        .iter()
        .map(|attribute| {
            (
                attribute.key.clone(),
                attribute.value.as_ref().map(text).unwrap_or_default(),
            )
        })
        .collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
