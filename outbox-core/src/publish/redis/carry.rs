//! Carries requests over a socket and their answers back, in their order.
//!
//! It fails as a whole: what is in flight then is unknown, and whoever asks learns why.

use std::collections::VecDeque;
use std::io;

use redis::Value;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::resp::Answers;

/// Requests that may wait for the socket: each lane has one at a time.
pub(super) const WAITING: usize = 64;

/// Commands that were packed.
pub(super) struct Request {
    pub(super) bytes: Vec<u8>,
    pub(super) answers: usize,
    pub(super) done: oneshot::Sender<Done>,
}

/// The answers, and the memory of what was sent.
pub(super) type Done = (Vec<Value>, Vec<u8>);

/// A request whose answers are not all there.
struct Open {
    answers: usize,
    values: Vec<Value>,
    sent: Vec<u8>,
    done: oneshot::Sender<Done>,
}

/// Writes requests in their order and reads while it writes: a server that waits for room for its answers would read no more.
pub(super) async fn carry(stream: &TcpStream, mut requests: mpsc::Receiver<Request>) -> io::Result<()> {
    let mut open: VecDeque<Open> = VecDeque::new();
    // The one that is being written, counted from the front, and how much of it is.
    let (mut at, mut written) = (0, 0);
    let mut answers = Answers::default();
    loop {
        let interest = match at < open.len() {
            true => Interest::READABLE | Interest::WRITABLE,
            false => Interest::READABLE,
        };
        tokio::select! {
            biased;
            request = requests.recv(), if open.len() < WAITING => match request {
                Some(Request { bytes, answers, done }) => {
                    let values = Vec::with_capacity(answers);
                    open.push_back(Open { answers, values, sent: bytes, done });
                }
                // Nobody asks any more.
                None => return Ok(()),
            },
            ready = stream.ready(interest) => drop(ready?),
        }
        while let Some(request) = open.get(at) {
            match stream.try_write(&request.sent[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            if written == request.sent.len() {
                (at, written) = (at + 1, 0);
            }
        }
        loop {
            match stream.try_read_buf(answers.room()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            while let Some(value) = answers.next().map_err(|broken| io::Error::other(broken.0))? {
                let first = open
                    .front_mut()
                    .ok_or_else(|| io::Error::other("an answer that nobody asked for"))?;
                first.values.push(value);
                if first.values.len() == first.answers
                    && at > 0
                    && let Some(whole) = open.pop_front()
                {
                    at -= 1;
                    // Whoever asked may have given up.
                    whole.done.send((whole.values, whole.sent)).ok();
                }
            }
        }
    }
}
