//! The exporter's way to its collector: one connection, kept while it lasts, every request bounded.
//!
//! The exporter lives on a thread of its own, without a runtime; requests run on the runtime of the program. What is wrong is
//! said when it begins and when it ends, not with every request in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use crate::connect::chain;

/// A collector answers with a few bytes.
const ANSWER_BYTES: usize = 1 << 20;

/// Posts what the exporter encoded.
#[derive(Debug)]
pub(super) struct Client {
    runtime: Handle,
    limit: Duration,
    link: Arc<Link>,
    fails: AtomicBool,
}

impl Client {
    pub(super) fn new(runtime: Handle, limit: Duration, tls: ClientConfig) -> Self {
        let link = Link {
            tls: TlsConnector::from(Arc::new(tls)),
            kept: Mutex::new(None),
        };
        Self {
            runtime,
            limit,
            link: Arc::new(link),
            fails: AtomicBool::new(false),
        }
    }

    fn tell(&self, collector: &str, outcome: &Result<Response<Bytes>, HttpError>) {
        let problem = match outcome {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(error) => Some(chain(&**error)),
        };
        match problem {
            Some(problem) if !self.fails.swap(true, Ordering::Relaxed) => tracing::warn!(
                collector,
                problem,
                "spans are not exported and are dropped while this lasts; nothing else waits for it"
            ),
            None if self.fails.swap(false, Ordering::Relaxed) => {
                tracing::info!(collector, "spans are exported again");
            }
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let collector = host_of(request.uri())?;
        let (link, limit) = (self.link.clone(), self.limit);
        let sending = async move { tokio::time::timeout(limit, link.send(request)).await };
        let outcome = match self.runtime.spawn(sending).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(format!("no answer within {} ms", limit.as_millis()).into()),
            Err(stopped) => Err(stopped.into()),
        };
        self.tell(&collector, &outcome);
        outcome
    }
}

/// The connection, if there is one.
struct Link {
    tls: TlsConnector,
    kept: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let mut kept = self.kept.lock().await;
        // The collector may have ended a connection that was kept: then, and only then, a second one is tried.
        if let Some(mut sender) = kept.take()
            && sender.ready().await.is_ok()
            && let Ok(answer) = exchange(&mut sender, &parts, &body).await
        {
            *kept = Some(sender);
            return Ok(answer);
        }
        let mut sender = self.connect(&parts.uri).await?;
        let answer = exchange(&mut sender, &parts, &body).await?;
        *kept = Some(sender);
        Ok(answer)
    }

    async fn connect(&self, uri: &Uri) -> Result<SendRequest<Full<Bytes>>, HttpError> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let is_secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let socket = TcpStream::connect((host.as_str(), port)).await?;
        socket.set_nodelay(true)?;
        if is_secure {
            let name = ServerName::try_from(host)?;
            open(self.tls.connect(name, socket).await?).await
        } else {
            open(socket).await
        }
    }
}

async fn open<S>(socket: S) -> Result<SendRequest<Full<Bytes>>, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(socket)).await?;
    // It ends with its sender or with the socket, and whoever sends learns why.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    parts: &hyper::http::request::Parts,
    body: &Bytes,
) -> Result<Response<Bytes>, HttpError> {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = parts.method.clone();
    *request.headers_mut() = parts.headers.clone();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse()?;
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_str(&host_of(&parts.uri)?)?);
    let (head, incoming) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(incoming, ANSWER_BYTES).collect().await?.to_bytes();
    Ok(Response::from_parts(head, body))
}

/// Host and port, without the user and password that a URL may hold.
fn host_of(uri: &Uri) -> Result<String, HttpError> {
    let host = uri.host().ok_or("the endpoint names no host")?;
    Ok(match uri.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}
