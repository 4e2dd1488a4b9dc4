//! A connection of our own over plain TCP: what is sent is packed before, and answers are read as they come.
//!
//! The driver connects for everything else, and for TLS and Unix sockets; here it only makes itself known (user, password,
//! database). Its commands are objects with texts of their own, and its reader of answers is made for whatever a server may say: both
//! together took more processor time of a drain than Redis' own answers.
//!
//! One task owns the socket. It fails as a whole: what is in flight then is unknown, and whoever asks learns why.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::socket2::SockRef;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ProtocolVersion, RedisError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::carry::{Done, Request, WAITING, carry};
use super::reply;
use crate::publish::{Error, Kind};

/// A connection; dropped, it is closed.
pub(super) struct Socket {
    requests: mpsc::Sender<Request>,
    /// How long an answer may take.
    limit: Duration,
    why: Arc<OnceLock<String>>,
    _carrying: AbortOnDropHandle<()>,
}

impl Socket {
    /// Connects over plain TCP; none if the client is made for something else.
    pub(super) async fn open(
        client: &Client,
        connect: Duration,
        limit: Duration,
    ) -> Result<Option<Self>, RedisError> {
        let info = client.get_connection_info();
        let login = info.redis_settings();
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            return Ok(None);
        };
        if login.protocol() != ProtocolVersion::RESP2 {
            return Ok(None);
        }
        let opening = async {
            let addresses = tokio::net::lookup_host((host.as_str(), *port)).await?;
            let stream = reach(addresses).await?;
            let settings = info.tcp_settings();
            stream.set_nodelay(settings.nodelay())?;
            let socket = SockRef::from(&stream);
            if let Some(keepalive) = settings.keepalive() {
                socket.set_tcp_keepalive(keepalive)?;
            }
            #[cfg(target_os = "linux")]
            socket.set_tcp_user_timeout(settings.user_timeout())?;
            let lent = Lent(Arc::new(Mutex::new(stream)));
            let known = MultiplexedConnection::new_with_config(
                login,
                Lent(lent.0.clone()),
                AsyncConnectionConfig::new(),
            );
            // What the driver made of the stream goes, and the stream comes back.
            drop(known.await?);
            Arc::into_inner(lent.0)
                .map(|stream| stream.into_inner().unwrap_or_else(PoisonError::into_inner))
                .ok_or_else(|| io::Error::other("the stream is in use").into())
        };
        let stream = tokio::time::timeout(connect, opening)
            .await
            .map_err(|_| RedisError::from(io::Error::from(io::ErrorKind::TimedOut)))
            .and_then(|opened: Result<TcpStream, RedisError>| opened)?;
        let (requests, waiting) = mpsc::channel(WAITING);
        let why = Arc::new(OnceLock::new());
        let said = why.clone();
        let carrying = tokio::spawn(async move { carry(&stream, waiting, &said).await });
        Ok(Some(Self {
            requests,
            limit,
            why,
            _carrying: AbortOnDropHandle::new(carrying),
        }))
    }

    /// Sends commands that were packed, and brings so many answers, with the memory of the commands.
    pub(super) async fn send(&self, bytes: Vec<u8>, answers: usize) -> Result<Done, Error> {
        let (done, coming) = oneshot::channel();
        let request = Request { bytes, answers, done };
        let asking = async {
            self.requests.send(request).await.ok()?;
            coming.await.ok()
        };
        match tokio::time::timeout(self.limit, asking).await {
            Ok(Some(done)) => Ok(done),
            Ok(None) => {
                let why = self.why.get().map_or("the connection was closed", String::as_str);
                Err(Error::new(Kind::SinkDown, format!("no answer from Redis: {why}")))
            }
            Err(_) => {
                let late = RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
                Err(reply::failed("no answer from Redis", &late))
            }
        }
    }
}

/// Connects to the address that answers first. One after another, an address of a machine that is gone would take all the time there is.
async fn reach(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let attempts: Vec<_> = addresses
        .map(|address| Box::pin(TcpStream::connect(address)))
        .collect();
    if attempts.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    let (stream, _) = select_ok(attempts).await?;
    Ok(stream)
}

/// A stream that is lent out.
struct Lent(Arc<Mutex<TcpStream>>);

impl Lent {
    fn with<T>(&self, act: impl FnOnce(Pin<&mut TcpStream>) -> T) -> T {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(Pin::new(&mut stream))
    }
}

impl AsyncRead for Lent {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(cx, out))
    }
}

impl AsyncWrite for Lent {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It goes on without the driver.
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use futures_util::stream::FuturesUnordered;
    use tokio::net::TcpSocket;

    use super::*;

    #[tokio::test]
    async fn an_address_that_never_answers_does_not_hold_up_one_that_does() -> io::Result<()> {
        // GIVEN an address whose queue is full, so that it answers nobody any more, before one that answers
        let silent = TcpSocket::new_v4()?;
        silent.bind(([127, 0, 0, 1], 0).into())?;
        let silent = silent.listen(1)?;
        let gone = silent.local_addr()?;
        let mut queue: FuturesUnordered<_> = (0..16).map(|_| TcpStream::connect(gone)).collect();
        let _queued = [queue.next().await, queue.next().await];
        let live = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let answers = live.local_addr()?;

        // WHEN both are tried
        let reached = tokio::time::timeout(Duration::from_secs(60), reach([gone, answers].into_iter())).await;

        // THEN it is the second that is reached, and a name without any is no panic
        assert_eq!(reached??.peer_addr()?, answers);
        let none = reach(std::iter::empty()).await.expect_err("nothing to reach");
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
        Ok(())
    }
}
