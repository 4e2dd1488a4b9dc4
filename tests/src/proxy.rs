//! A TCP proxy on loopback that does one kind of harm at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Result;

const BUFFER_BYTES: usize = 64 * 1024;

/// What happens to what goes through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: everything passes.
    #[default]
    None,
    /// New connections are closed at once; those that are open stay.
    Reject,
    /// What the client sends arrives, what the server answers never comes, then the connection ends: the lost reply.
    FailAfterWrite,
    /// Nothing passes in either direction until the fault is over; connections stay open.
    Hold,
    /// Every piece of data is late by this much.
    Slow(Duration),
    /// Open connections end, and new ones.
    Cut,
    /// The same with RST instead of FIN.
    Reset,
}

/// Between a client and a server. Dropped: gone, with its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    later: Arc<Later>,
    _tasks: JoinSet<()>,
}

/// A harm that is to come.
#[derive(Debug)]
struct Later {
    fault: watch::Sender<Fault>,
    /// The sender of the faults that hold.
    now: watch::Sender<Fault>,
    /// How many more pieces of data reach the server before.
    left: AtomicU64,
}

impl Proxy {
    /// Listens on a free port in front of 127.0.0.1:`port`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn before(port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let fault = watch::Sender::new(Fault::None);
        let later = Arc::new(Later {
            fault: watch::Sender::new(Fault::None),
            now: fault.clone(),
            left: AtomicU64::new(u64::MAX),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, port, later.clone()));
        Ok(Self {
            address,
            fault,
            later,
            _tasks: tasks,
        })
    }

    /// The port clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The same URL, through the proxy.
    #[must_use]
    pub fn url(&self, direct: &str, port: u16) -> String {
        direct.replacen(&format!(":{port}/"), &format!(":{}/", self.port()), 1)
    }

    /// Does this harm from now on, to open connections too.
    pub fn inflict(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Does this harm when so many more pieces of data (statements, roughly) have reached the server, over all connections. The
    /// answer to the last one is not seen if the harm keeps it back.
    pub fn inflict_after(&self, pieces: u64, fault: Fault) {
        self.later.fault.send_replace(fault);
        self.later.left.store(pieces, Ordering::SeqCst);
    }

    /// Waits until there is some harm.
    pub async fn is_inflicted(&self) {
        let mut faults = self.fault.subscribe();
        // It cannot fail: the sender is here.
        faults.wait_for(|fault| *fault != Fault::None).await.ok();
    }

    /// Lets everything pass again.
    pub fn heal(&self) {
        self.later.left.store(u64::MAX, Ordering::SeqCst);
        self.inflict(Fault::None);
    }
}

impl Later {
    /// One more piece of data is at the server.
    fn count(&self) {
        let counted = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
                0 | u64::MAX => None,
                left => Some(left - 1),
            });
        if counted == Ok(1) {
            self.now.send_replace(*self.fault.borrow());
        }
    }
}

async fn accept(listener: TcpListener, port: u16, later: Arc<Later>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { return };
                connections.spawn(serve(client, port, later.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut client: TcpStream, port: u16, later: Arc<Later>) {
    let faults = later.now.subscribe();
    let fault = *faults.borrow();
    if matches!(fault, Fault::Reject | Fault::Cut | Fault::Reset) {
        return end(&client, fault);
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let fault = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        // Whichever direction ends first takes the other one with it: a half-open connection is nobody's case here.
        tokio::select! {
            fault = pump(client_read, server_write, Some(&later), faults.clone()) => fault,
            fault = pump(server_read, client_write, None, faults.clone()) => fault,
        }
    };
    end(&client, fault);
    end(&server, fault);
}

/// The connection ends when its value goes; this only decides how.
fn end(stream: &TcpStream, fault: Fault) {
    if fault == Fault::Reset {
        // It can only fail on a socket that is gone already.
        stream.set_zero_linger().ok();
    }
}

/// Carries data until one side ends or a fault ends the connection; returns the fault at that moment. `counting`: on the way
/// to the server.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    counting: Option<&Later>,
    faults: watch::Receiver<Fault>,
) -> Fault {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = tokio::select! {
            fault = ending(faults.clone()) => return fault,
            read = from.read(&mut buffer) => match read {
                Ok(length) if length > 0 => length,
                _ => return *faults.borrow(),
            },
        };
        let fault = tokio::select! {
            fault = ending(faults.clone()) => return fault,
            fault = released(faults.clone()) => fault,
        };
        match fault {
            Fault::FailAfterWrite if counting.is_none() => return fault,
            Fault::Slow(delay) => tokio::time::sleep(delay).await,
            _ => {}
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return fault;
        }
        if let Some(later) = counting {
            later.count();
        }
    }
}

/// Waits for a fault that ends open connections.
async fn ending(mut faults: watch::Receiver<Fault>) -> Fault {
    match faults
        .wait_for(|fault| matches!(fault, Fault::Cut | Fault::Reset))
        .await
    {
        Ok(fault) => *fault,
        // The proxy is gone, and with it this task.
        Err(_) => Fault::Cut,
    }
}

/// Waits while everything is held.
async fn released(mut faults: watch::Receiver<Fault>) -> Fault {
    match faults.wait_for(|fault| *fault != Fault::Hold).await {
        Ok(fault) => *fault,
        Err(_) => Fault::Cut,
    }
}

#[cfg(test)]
mod tests;
