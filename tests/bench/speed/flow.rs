//! Events that come by a schedule, whether or not those before them are through: when each commit returned, and when a reader that is
//! blocked in `XREAD` had the entry.
//!
//! Each is a transaction of its own, prepared, by the first session that is free; a session is a key, so that order per key is known.
//! What is measured begins when a producer has `ReadyForQuery` behind its commit, and ends when the reader has the answer that its event
//! is in. Both are threads on blocking sockets. An entry may be read before its producer has the answer: then its delay is below zero,
//! counts as it is, and is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redis::Commands as _;
use redis::streams::{StreamReadOptions, StreamReadReply};
use system_tests::{Failure, Login, Result};

use super::arrivals::{Arrivals, Done, Worker};
use super::quantile::Quantiles;
use super::session::Session;
use crate::peers::mark::{Mark, found};

const SESSIONS: usize = 32;
/// How long a reader is blocked at most before it looks whether it is still wanted, in milliseconds.
const BLOCKED: usize = 200;
/// How long entries may stay away after the last commit.
const PATIENCE: Duration = Duration::from_secs(60);
/// So late an event may be begun and still be on time.
const ON_TIME: Duration = Duration::from_millis(1);
/// Sessions are open by then.
const LEAD: Duration = Duration::from_millis(100);

/// What is to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    pub(crate) arrivals: Arrivals,
    /// How long they come before they count.
    pub(crate) warms: Duration,
}

/// What producers send of a key and data.
pub(crate) type Dress = Arc<dyn Fn(&str, String) -> String + Send + Sync>;

/// Where events go in, and where they come out.
#[derive(Clone)]
pub(crate) struct Path {
    pub(crate) database_url: String,
    /// Takes the key and the data.
    pub(crate) append: String,
    pub(crate) dress: Dress,
    pub(crate) redis_url: String,
    pub(crate) stream: String,
    /// In front of its keys: events of another flow are not looked at.
    pub(crate) word: String,
}

/// What was measured, in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Delays {
    /// From the return of a commit until its entry was read.
    pub(crate) seen: Quantiles,
    /// From the moment at which an event was to come until its commit returned.
    pub(crate) committed: Quantiles,
    /// Which part of the events was begun within a millisecond of its moment.
    pub(crate) on_time: f64,
    /// Events that were committed in a second.
    pub(crate) rate: f64,
    /// Events that were to come in a second: of the same ones, by their moments.
    pub(crate) scheduled: f64,
    /// Of those that count: read before the answer to their commit was.
    pub(crate) below_zero: usize,
    /// Entries of events that were read before.
    pub(crate) doubled: u64,
    /// Events that first came behind a later one of their key.
    pub(crate) reordered: u64,
}

impl Path {
    /// Through our own function and relay.
    pub(super) fn ours(database_url: &str, redis_url: String) -> Self {
        Self {
            database_url: Login::Producer.database_url(database_url),
            append: "select outbox.append('bench.flowing', $2::text::json, key => $1::text)".to_owned(),
            dress: Arc::new(|_, data| data),
            redis_url,
            stream: "outbox:bench.flowing".to_owned(),
            word: "flow".to_owned(),
        }
    }
}

impl Flow {
    /// Lets them come into a database that somebody publishes from, and waits until all of them were read.
    ///
    /// # Errors
    /// When an entry is missing.
    pub(crate) async fn run(self, path: Path) -> Result<Delays> {
        tokio::task::spawn_blocking(move || self.block(&path)).await?
    }

    fn block(self, path: &Path) -> Result<Delays> {
        let producers: Vec<Producer> = (0..SESSIONS)
            .map(|session| Producer::open(path, session))
            .collect::<Result<_>>()?;
        let reader = Reader::start(path)?;
        let begins = Instant::now() + LEAD;
        let committed = self.arrivals.run(begins, producers)?;
        let read = reader.finish(committed.len())?;
        self.delays(begins, &committed, &read)
    }

    /// Pure.
    fn delays(self, begins: Instant, committed: &[Done<()>], read: &Read) -> Result<Delays> {
        let from = begins + self.warms;
        let (mut seen, mut appended, mut on_time) = (Vec::new(), Vec::new(), 0_u32);
        let (mut last, mut last_due) = (from, from);
        for event in committed.iter().filter(|event| event.due >= from) {
            let at = read
                .seen
                .get(&event.number)
                .ok_or_else(|| Failure::new(format!("event {} was never read", event.number)))?;
            seen.push(milliseconds(event.returned, *at));
            appended.push(milliseconds(event.due, event.returned));
            on_time += u32::from(event.begun.saturating_duration_since(event.due) <= ON_TIME);
            last = last.max(event.returned);
            last_due = last_due.max(event.due);
        }
        let counted = seen.len() as f64;
        let rate_until = |end: Instant| counted / (end - from).max(ON_TIME).as_secs_f64();
        Ok(Delays {
            on_time: f64::from(on_time) / counted.max(1.0),
            rate: rate_until(last),
            scheduled: rate_until(last_due),
            below_zero: seen.iter().filter(|delay| **delay < 0.0).count(),
            doubled: read.doubled,
            reordered: read.reordered,
            seen: Quantiles::of(seen),
            committed: Quantiles::of(appended),
        })
    }
}

impl Delays {
    /// Fails when an event came twice or turned around with one of its key: what publishes it promises neither happens undisturbed.
    pub(crate) fn in_order_and_once(self) -> Result<Self> {
        match (self.doubled, self.reordered) {
            (0, 0) => Ok(self),
            (doubled, reordered) => Err(Failure::new(format!(
                "{doubled} events came twice, {reordered} behind a later one of their key"
            ))),
        }
    }
}

fn milliseconds(from: Instant, to: Instant) -> f64 {
    let forward = to.saturating_duration_since(from).as_secs_f64();
    let backward = from.saturating_duration_since(to).as_secs_f64();
    (forward - backward) * 1e3
}

/// A session that appends.
struct Producer {
    session: Session,
    key: String,
    payload: String,
    dress: Dress,
}

impl Producer {
    fn open(path: &Path, number: usize) -> Result<Self> {
        Ok(Self {
            session: Session::open(&path.database_url, &path.append)?,
            key: format!("{}-{number}", path.word),
            payload: String::new(),
            dress: Arc::clone(&path.dress),
        })
    }
}

impl Worker for Producer {
    type Took = ();

    fn ready(&mut self, number: u64) {
        let key = self.key.clone();
        self.payload = (self.dress)(&self.key, Mark { key, number }.data());
    }

    fn go(&mut self) -> Result {
        self.session.execute(&[Some(&self.key), Some(&self.payload)])
    }
}

/// What a reader saw.
#[derive(Default)]
struct Read {
    /// When each was there first.
    seen: HashMap<u64, Instant>,
    newest: HashMap<String, u64>,
    doubled: u64,
    reordered: u64,
}

impl Read {
    fn take(&mut self, mark: Mark, now: Instant) {
        if self.seen.contains_key(&mark.number) {
            self.doubled += 1;
            return;
        }
        self.seen.insert(mark.number, now);
        let newest = self.newest.entry(mark.key).or_default();
        self.reordered += u64::from(mark.number < *newest);
        *newest = mark.number.max(*newest);
    }
}

/// A thread that is blocked in XREAD.
struct Reader {
    thread: JoinHandle<Result<Read>>,
    is_over: Arc<AtomicBool>,
    wanted: std::sync::mpsc::Sender<usize>,
}

impl Reader {
    /// Reads from the first entry of the stream on that is written from now on.
    fn start(path: &Path) -> Result<Self> {
        let mut redis = redis::Client::open(path.redis_url.as_str())?.get_connection()?;
        let (stream, word) = (path.stream.clone(), format!("{}-", path.word));
        let last: redis::streams::StreamRangeReply = redis.xrevrange_count(&stream, "+", "-", 1)?;
        let after = last.ids.first().map_or("0".to_owned(), |entry| entry.id.clone());
        let is_over = Arc::new(AtomicBool::new(false));
        let (wanted, asked) = std::sync::mpsc::channel();
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || read(redis, &stream, &word, after, &asked, &over));
        Ok(Self {
            thread,
            is_over,
            wanted,
        })
    }

    /// Waits until it has so many, and returns when it had each.
    fn finish(self, events: usize) -> Result<Read> {
        // A reader that ended already says why below.
        self.wanted.send(events).ok();
        let since = Instant::now();
        while !self.thread.is_finished() {
            if since.elapsed() > PATIENCE {
                self.is_over.store(true, Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let read = self
            .thread
            .join()
            .map_err(|_| Failure::new("the reader panicked"))??;
        match read.seen.len() == events {
            true => Ok(read),
            false => Err(Failure::new(format!("{} of {events} were read", read.seen.len()))),
        }
    }
}

fn read(
    mut redis: redis::Connection,
    stream: &str,
    word: &str,
    mut after: String,
    asked: &std::sync::mpsc::Receiver<usize>,
    is_over: &AtomicBool,
) -> Result<Read> {
    let blocked = StreamReadOptions::default().block(BLOCKED);
    let mut all = Read::default();
    let mut wanted = None;
    while wanted.is_none_or(|wanted| all.seen.len() < wanted) && !is_over.load(Ordering::Relaxed) {
        let reply: Option<StreamReadReply> = redis.xread_options(&[stream], &[&after], &blocked)?;
        let now = Instant::now();
        for entry in reply
            .into_iter()
            .flat_map(|reply| reply.keys)
            .flat_map(|key| key.ids)
        {
            if let Some(mark) = found(entry.map.values()).filter(|mark| mark.key.starts_with(word)) {
                all.take(mark, now);
            }
            after = entry.id;
        }
        wanted = wanted.or_else(|| asked.try_recv().ok());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Arrivals, Done, Flow, Mark, Read};
    use system_tests::Result;

    #[test]
    fn a_delay_below_zero_counts_as_it_is_and_what_comes_again_is_told() -> Result {
        let flow = Flow {
            arrivals: Arrivals {
                rate: 2,
                lasts: Duration::from_secs(1),
                seed: 1,
            },
            warms: Duration::ZERO,
        };
        let begins = Instant::now();
        let at = |ms| begins + Duration::from_millis(ms);
        let done = |number, due, returned| Done {
            number,
            due: at(due),
            begun: at(due),
            returned: at(returned),
            took: (),
        };
        let mut read = Read::default();
        for (key, number, ms) in [("a", 2, 499), ("a", 1, 520), ("a", 2, 530)] {
            let key = key.to_owned();
            read.take(Mark { key, number }, at(ms));
        }
        let delays = flow.delays(begins, &[done(1, 100, 510), done(2, 450, 500)], &read)?;
        assert!((delays.seen.at(0.5) + 1.0).abs() < 1e-6 && (delays.seen.at(1.0) - 10.0).abs() < 1e-6);
        assert_eq!((delays.below_zero, delays.doubled, delays.reordered), (1, 1, 1));
        assert!((delays.scheduled - 2.0 / 0.45).abs() < 1e-6);
        assert!((delays.rate - 2.0 / 0.51).abs() < 1e-6 && (delays.on_time - 1.0).abs() < 1e-9);
        assert!(delays.in_order_and_once().is_err());
        assert!(flow.delays(begins, &[done(3, 100, 510)], &read).is_err());
        Ok(())
    }
}
