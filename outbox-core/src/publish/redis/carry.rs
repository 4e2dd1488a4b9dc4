//! Carries requests over a socket and their answers back, in their order.
//!
//! It fails as a whole: what is in flight then is unknown, and whoever asks learns why.

use std::collections::VecDeque;
use std::io;
use std::sync::OnceLock;

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

/// Carries requests until nobody asks any more. `why` says how it ended before anybody learns that it did.
pub(super) async fn carry(stream: &TcpStream, mut requests: mpsc::Receiver<Request>, why: &OnceLock<String>) {
    let mut open = VecDeque::new();
    if let Err(error) = exchange(stream, &mut requests, &mut open).await {
        why.get_or_init(|| error.to_string());
    }
}

/// Writes requests in their order and reads while it writes: a server that waits for room for its answers would read no more.
async fn exchange(
    stream: &TcpStream,
    requests: &mut mpsc::Receiver<Request>,
    open: &mut VecDeque<Open>,
) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};
    use std::time::Duration;

    use redis::io::tcp::socket2::SockRef;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    /// Two ends of a connection with buffers so small that nothing fits them at once.
    async fn narrow() -> io::Result<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (ours, theirs) = tokio::join!(TcpStream::connect(listener.local_addr()?), listener.accept());
        let (ours, (theirs, _)) = (ours?, theirs?);
        for stream in [&ours, &theirs] {
            SockRef::from(stream).set_send_buffer_size(4 << 10)?;
            SockRef::from(stream).set_recv_buffer_size(4 << 10)?;
        }
        Ok((ours, theirs))
    }

    fn request(bytes: Vec<u8>, answers: usize) -> (Request, oneshot::Receiver<Done>) {
        let (done, coming) = oneshot::channel();
        (Request { bytes, answers, done }, coming)
    }

    #[tokio::test]
    async fn what_is_written_in_parts_arrives_whole_while_answers_fill_the_other_way() -> io::Result<()> {
        // GIVEN three requests that fit no buffer, and a server that answers the first with more than fits one before it reads on
        const SIZES: [usize; 3] = [60_000, 1, 90_000];
        let sent: Vec<Vec<u8>> = (1u8..)
            .zip(SIZES)
            .map(|(seed, size)| {
                (0..size)
                    .map(|n| (n % 251) as u8 ^ seed.wrapping_mul(37))
                    .collect()
            })
            .collect();
        let (ours, mut theirs) = narrow().await?;
        let (requests, waiting) = mpsc::channel(WAITING);
        let _carrying = AbortOnDropHandle::new(tokio::spawn(async move {
            carry(&ours, waiting, &OnceLock::new()).await;
        }));
        let serving = async {
            let mut read: Vec<Vec<u8>> = Vec::new();
            for (n, size) in SIZES.into_iter().enumerate() {
                let mut bytes = vec![0; size];
                theirs.read_exact(&mut bytes).await?;
                read.push(bytes);
                let large = vec![b'x'; if n == 0 { 80_000 } else { 0 }];
                theirs
                    .write_all(format!(":{n}\r\n${}\r\n", large.len()).as_bytes())
                    .await?;
                theirs.write_all(&large).await?;
                theirs.write_all(b"\r\n").await?;
            }
            io::Result::Ok(read)
        };
        // WHEN they are sent one behind the other
        let asking = async {
            let mut coming = Vec::new();
            for bytes in &sent {
                let (request, answer) = request(bytes.clone(), 2);
                requests.send(request).await.map_err(io::Error::other)?;
                coming.push(answer);
            }
            let mut answers = Vec::new();
            for answer in coming {
                answers.push(answer.await.map_err(io::Error::other)?);
            }
            Ok(answers)
        };
        let both = async { tokio::try_join!(serving, asking) };
        let (read, answers) = tokio::time::timeout(Duration::from_secs(120), both).await??;
        // THEN they came byte for byte, and each has its own answers and its memory back
        assert!(read == sent, "what came is not what was sent");
        for (n, ((values, memory), bytes)) in answers.into_iter().zip(sent).enumerate() {
            assert_eq!((values.len(), &values[0]), (2, &Value::Int(n as i64)));
            assert!(memory == bytes, "request {n}");
        }
        Ok(())
    }

    /// How often somebody was told, and whether the reason was known each time.
    struct Told {
        why: Arc<OnceLock<String>>,
        with: AtomicUsize,
        without: AtomicUsize,
    }

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            let known = if self.why.get().is_some() {
                &self.with
            } else {
                &self.without
            };
            known.fetch_add(1, Ordering::SeqCst);
        }
    }

    const REQUESTS: usize = WAITING + 8;

    #[tokio::test]
    async fn whoever_learns_that_it_ended_can_read_why() -> io::Result<()> {
        // GIVEN more requests than are taken in at once, and fewer than a task may ask for without a pause, whose answers are waited for, and a server that goes
        let (ours, theirs) = narrow().await?;
        let (requests, waiting) = mpsc::channel(REQUESTS);
        let why = Arc::new(OnceLock::new());
        let told = Arc::new(Told {
            why: why.clone(),
            with: AtomicUsize::new(0),
            without: AtomicUsize::new(0),
        });
        let waker = Waker::from(told.clone());
        let mut coming = Vec::new();
        for _ in 0..REQUESTS {
            let (request, mut answer) = request(b"*1\r\n$4\r\nPING\r\n".to_vec(), 1);
            requests.try_send(request).map_err(|_| io::Error::other("full"))?;
            let polled = std::pin::Pin::new(&mut answer).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            coming.push(answer);
        }
        drop(theirs);
        // WHEN that is noticed
        tokio::time::timeout(Duration::from_secs(120), carry(&ours, waiting, &why)).await?;
        // THEN nobody was told before the reason was known
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        assert_eq!((count(&told.with), count(&told.without)), (REQUESTS, 0));
        Ok(())
    }
}
