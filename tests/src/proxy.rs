//! A TCP proxy on loopback that does one kind of harm at a time, to be changed while connections are open, and counts what it
//! did: a fault that met nothing did not happen.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{Failure, Result};

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
    /// What the client sends is kept back until the fault is over; what the server sends arrives.
    HoldRequests,
    /// What the client sends arrives; what the server answers is kept back until the fault is over.
    HoldReplies,
    /// New connections are accepted, and nothing ever comes of them; those that are open stay.
    Hang,
    /// Every piece of data is late by this much.
    Slow(Duration),
    /// Every piece of data is late by this much at least, and by a random part of the second more.
    Jitter(Duration, Duration),
    /// So many bytes a second in each direction of each connection, and no more.
    Throttle(u32),
    /// So many bytes more in all, then every connection is reset, and new ones too.
    CutAfter(u64),
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
    target: Arc<AtomicU16>,
    _tasks: JoinSet<()>,
}

/// What is known of now, and a harm that is to come.
#[derive(Debug)]
struct Later {
    /// Changes when some of the connections that are open then are to end.
    ends: watch::Sender<u64>,
    /// How many of them still.
    to_end: AtomicU64,
    /// Connections, and pieces of data for the server, so far.
    knocks: AtomicU64,
    fault: watch::Sender<Fault>,
    /// The sender of the faults that hold.
    now: watch::Sender<Fault>,
    /// How many more pieces of data reach the server before.
    left: AtomicU64,
    /// How many bytes more pass before a cut.
    bytes_left: AtomicU64,
    /// Words that bring a harm when a client says them.
    words: Mutex<Option<(Vec<u8>, Fault)>>,
    /// What the fault of now did so far.
    toll: AtomicU64,
}

/// The port that a URL names.
///
/// # Errors
/// When it names none.
pub fn port_of(url: &str) -> Result<u16> {
    let rest = url.rsplit_once(':').map_or("", |(_, rest)| rest);
    let port = rest.split('/').next().unwrap_or_default();
    port.parse()
        .map_err(|error| Failure::new(format!("a URL names no port: {error}")))
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
            ends: watch::Sender::new(0),
            to_end: AtomicU64::new(0),
            knocks: AtomicU64::new(0),
            fault: watch::Sender::new(Fault::None),
            now: fault.clone(),
            left: AtomicU64::new(u64::MAX),
            bytes_left: AtomicU64::new(0),
            words: Mutex::default(),
            toll: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        let target = Arc::new(AtomicU16::new(port));
        tasks.spawn(accept(listener, target.clone(), later.clone()));
        Ok(Self {
            address,
            fault,
            later,
            target,
            _tasks: tasks,
        })
    }

    /// The port clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Leads to another server on 127.0.0.1 from now on; connections that are open stay where they are.
    pub fn lead_to(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
    }

    /// The same URL, through the proxy.
    #[must_use]
    pub fn url(&self, direct: &str, port: u16) -> String {
        direct.replacen(&format!(":{port}/"), &format!(":{}/", self.port()), 1)
    }

    /// Does this harm from now on, to open connections too.
    pub fn inflict(&self, fault: Fault) {
        self.later.toll.store(0, Ordering::SeqCst);
        if let Fault::CutAfter(bytes) = fault {
            self.later.bytes_left.store(bytes, Ordering::SeqCst);
        }
        self.fault.send_replace(fault);
    }

    /// Ends so many of the connections that are open now, once, whatever the fault.
    pub fn end_open(&self, at_most: u64) {
        self.later.to_end.store(at_most, Ordering::SeqCst);
        self.later.ends.send_modify(|times| *times += 1);
    }

    /// How often somebody wanted something of the server so far: connections, and pieces of data for it.
    #[must_use]
    pub fn knocks(&self) -> u64 {
        self.later.knocks.load(Ordering::SeqCst)
    }

    /// How many pieces of data and connections met the fault since it was inflicted.
    #[must_use]
    pub fn toll(&self) -> u64 {
        self.later.toll.load(Ordering::SeqCst)
    }

    /// Does this harm when so many more pieces of data (statements, roughly) have reached the server, over all connections. The
    /// answer to the last one is not seen if the harm keeps it back.
    pub fn inflict_after(&self, pieces: u64, fault: Fault) {
        self.later.fault.send_replace(fault);
        self.later.left.store(pieces, Ordering::SeqCst);
    }

    /// Does this harm from the first piece of data on in which a client says these words: what has them is kept back already.
    pub fn inflict_at(&self, words: &str, fault: Fault) {
        self.later.toll.store(0, Ordering::SeqCst);
        *self.later.words.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((words.as_bytes().to_vec(), fault));
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
        self.fault.send_replace(Fault::None);
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

    /// A client says this.
    fn hear(&self, said: &[u8]) {
        let mut waiting = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let has_come =
            |(words, _): &mut (Vec<u8>, Fault)| said.windows(words.len()).any(|part| part == words);
        if let Some((_, fault)) = waiting.take_if(has_come) {
            self.now.send_replace(fault);
        }
    }

    /// The fault did something.
    fn suffered(&self) {
        self.toll.fetch_add(1, Ordering::SeqCst);
    }

    /// Somebody wants something of the server.
    fn knocked(&self) {
        self.knocks.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether one more of the connections that were open is to end.
    fn is_to_end(&self) -> bool {
        let less = self
            .to_end
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        less.is_ok()
    }

    /// These pass before a cut; true when it comes now.
    fn spend(&self, bytes: usize) -> bool {
        let (bytes, left) = (bytes as u64, &self.bytes_left);
        let spent = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(bytes));
        spent.is_err()
    }
}

async fn accept(listener: TcpListener, target: Arc<AtomicU16>, later: Arc<Later>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { return };
                connections.spawn(serve(client, target.load(Ordering::SeqCst), later.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut client: TcpStream, port: u16, later: Arc<Later>) {
    later.knocked();
    let mut faults = later.now.subscribe();
    let ends = later.ends.subscribe();
    let fault = *faults.borrow();
    if matches!(fault, Fault::Reject) || is_ending(fault) {
        later.suffered();
        return end(&client, fault);
    }
    if fault == Fault::Hang {
        later.suffered();
        // It cannot fail: the sender is with the proxy, and so is this task.
        faults.wait_for(|fault| *fault != Fault::Hang).await.ok();
        return;
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let fault = {
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        // Whichever direction ends first takes the other one with it: a half-open connection is nobody's case here.
        tokio::select! {
            fault = pump(client_read, server_write, Way::ToServer, &later) => fault,
            fault = pump(server_read, client_write, Way::ToClient, &later) => fault,
            () = chosen(ends, &later) => Fault::Cut,
        }
    };
    end(&client, fault);
    end(&server, fault);
}

/// The connection ends when its value goes; this only decides how.
fn end(stream: &TcpStream, fault: Fault) {
    if matches!(fault, Fault::Reset | Fault::CutAfter(_)) {
        // It can only fail on a socket that is gone already.
        stream.set_zero_linger().ok();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToServer,
    ToClient,
}

impl Fault {
    /// Whether what goes this way is kept back.
    fn holds(self, way: Way) -> bool {
        match self {
            Self::Hold => true,
            Self::HoldRequests => way == Way::ToServer,
            Self::HoldReplies => way == Way::ToClient,
            _ => false,
        }
    }

    /// How late so many bytes are.
    fn delay(self, bytes: usize) -> Duration {
        match self {
            Self::Slow(delay) => delay,
            Self::Jitter(least, more) => least + more.mul_f64(rand::random()),
            Self::Throttle(rate) => Duration::from_secs_f64(bytes as f64 / f64::from(rate.max(1))),
            _ => Duration::ZERO,
        }
    }
}

/// Carries data until one side ends or a fault ends the connection; returns the fault at that moment.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, way: Way, later: &Later) -> Fault {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = tokio::select! {
            fault = ending(later) => return fault,
            read = from.read(&mut buffer) => match read {
                Ok(length) if length > 0 => length,
                _ => return *later.now.borrow(),
            },
        };
        if way == Way::ToServer {
            later.hear(&buffer[..length]);
            later.knocked();
        }
        let fault = tokio::select! {
            fault = ending(later) => return fault,
            fault = released(way, later) => fault,
        };
        match fault {
            Fault::FailAfterWrite if way == Way::ToClient => {
                later.suffered();
                return fault;
            }
            Fault::CutAfter(_) if later.spend(length) => {
                later.suffered();
                later.now.send_replace(Fault::Reset);
                return fault;
            }
            _ => {}
        }
        let delay = fault.delay(length);
        if !delay.is_zero() {
            later.suffered();
            tokio::select! {
                fault = ending(later) => return fault,
                () = tokio::time::sleep(delay) => {}
            }
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return fault;
        }
        if way == Way::ToServer {
            later.count();
        }
    }
}

/// Whether a fault ends open connections at once.
fn is_ending(fault: Fault) -> bool {
    matches!(fault, Fault::Cut | Fault::Reset)
}

/// Waits for a fault that ends open connections.
async fn ending(later: &Later) -> Fault {
    match later.now.subscribe().wait_for(|fault| is_ending(*fault)).await {
        Ok(fault) => {
            later.suffered();
            *fault
        }
        // The proxy is gone, and with it this task.
        Err(_) => Fault::Cut,
    }
}

/// Waits until this connection is one of those that are to end though others stay.
async fn chosen(mut ends: watch::Receiver<u64>, later: &Later) {
    while ends.changed().await.is_ok() {
        if later.is_to_end() {
            return;
        }
    }
}

/// Waits while everything this way is held.
async fn released(way: Way, later: &Later) -> Fault {
    let mut faults = later.now.subscribe();
    if faults.borrow().holds(way) {
        later.suffered();
    }
    match faults.wait_for(|fault| !fault.holds(way)).await {
        Ok(fault) => *fault,
        Err(_) => Fault::Cut,
    }
}

#[cfg(test)]
mod tests;
