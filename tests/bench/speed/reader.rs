//! A reader that is blocked in `XREAD`, in a thread of its own: when it had each event.
//!
//! It fails when an event comes twice, or behind a later one of its key. It ends with whoever started it.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use redis::Commands as _;
use redis::streams::{StreamReadOptions, StreamReadReply};
use system_tests::{Failure, Result};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::flow::TOPIC;
use super::resp;

/// Milliseconds for which it is blocked at most before it looks whether it is still wanted.
const BLOCKED: usize = 200;
/// How long entries may stay away after the last commit.
const PATIENCE: Duration = Duration::from_secs(60);

/// A thread that is blocked in XREAD.
pub(super) struct Reader {
    seen: oneshot::Receiver<Result<HashMap<u64, Instant>>>,
    wanted: Sender<usize>,
}

impl Reader {
    /// Reads from the first entry of the stream on that is written from now on.
    pub(super) fn start(url: &str) -> Result<Self> {
        let mut redis = redis::Client::open(url)?.get_connection()?;
        let stream = format!("outbox:{TOPIC}");
        let last: redis::streams::StreamRangeReply = redis.xrevrange_count(&stream, "+", "-", 1)?;
        let after = last.ids.first().map_or("0".to_owned(), |entry| entry.id.clone());
        let (wanted, asked) = channel();
        let (tell, seen) = oneshot::channel();
        std::thread::spawn(move || {
            // Nobody may be there any more to be told.
            tell.send(read(redis, &stream, after, &asked)).ok();
        });
        Ok(Self { seen, wanted })
    }

    /// Waits until it has so many, and returns when it had each.
    pub(super) async fn finish(self, events: usize) -> Result<HashMap<u64, Instant>> {
        // One that ended before its time says why below.
        self.wanted.send(events).ok();
        let seen = timeout(PATIENCE, self.seen).await;
        let seen = seen
            .map_err(|_| {
                Failure::new(format!(
                    "not all of {events} events were read within {PATIENCE:?}"
                ))
            })?
            .map_err(|_| Failure::new("the reader panicked"))??;
        match seen.len() == events {
            true => Ok(seen),
            false => Err(Failure::new(format!("{} of {events} were read", seen.len()))),
        }
    }
}

fn read(
    mut redis: redis::Connection,
    stream: &str,
    mut after: String,
    asked: &Receiver<usize>,
) -> Result<HashMap<u64, Instant>> {
    let blocked = StreamReadOptions::default().block(BLOCKED);
    let mut seen = HashMap::new();
    let mut newest: HashMap<Vec<u8>, u64> = HashMap::new();
    let mut wanted = None;
    while wanted.is_none_or(|wanted| seen.len() < wanted) {
        let reply: Option<StreamReadReply> = redis.xread_options(&[stream], &[&after], &blocked)?;
        let now = Instant::now();
        for entry in reply
            .into_iter()
            .flat_map(|reply| reply.keys)
            .flat_map(|key| key.ids)
        {
            let event: Vec<u8> = entry
                .get("event")
                .ok_or_else(|| Failure::new(format!("entry {} has no event", entry.id)))?;
            let number = resp::number(&event)
                .ok_or_else(|| Failure::new(format!("entry {} has no number", entry.id)))?;
            let number = u64::try_from(number)?;
            if seen.insert(number, now).is_some() {
                return Err(Failure::new(format!("event {number} came twice")));
            }
            let key = resp::text(&event, b"\"partitionkey\":\"").unwrap_or_default();
            if newest.insert(key, number).is_some_and(|before| before > number) {
                return Err(Failure::new(format!(
                    "event {number} came behind a later one of its key"
                )));
            }
            after = entry.id;
        }
        match asked.try_recv() {
            Ok(events) => wanted = Some(events),
            Err(TryRecvError::Empty) => {}
            // Who asked is gone, and with it who would be told.
            Err(TryRecvError::Disconnected) => break,
        }
    }
    Ok(seen)
}
