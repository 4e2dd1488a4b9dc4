//! Events that come by a schedule, whether or not those before them are through: when each commit returned, and when a reader that is
//! blocked in `XREAD` had the entry.
//!
//! Arrivals are drawn from a seed, with gaps as of people who know nothing of each other. Each is one `outbox.append`, prepared, a
//! transaction of its own, by the first connection that is free; a connection is a key, so that order per key is known. What is
//! measured begins when the commit returned to its client and ends when the reader's answer is read, in a thread of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use redis::Commands as _;
use redis::streams::{StreamReadOptions, StreamReadReply};
use system_tests::{Failure, Login, Result};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::ground::{Ground, Sink};
use super::resp;

pub(super) const TOPIC: &str = "bench.flowing";
const CONNECTIONS: usize = 32;
/// How long a reader is blocked at most before it looks whether it is still wanted.
const BLOCKED: usize = 200;
/// How long entries may stay away after the last commit.
const PATIENCE: Duration = Duration::from_secs(60);
/// So late an event may be begun and still be on time.
const ON_TIME: Duration = Duration::from_millis(1);
const APPEND: &str = "select outbox.append($1, $2::text::json, key => $3)";

/// What is to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    /// Events in a second.
    pub(super) rate: u32,
    /// How long they come.
    pub(super) lasts: Duration,
    /// How long before they count.
    pub(super) warms: Duration,
    pub(super) seed: u64,
}

/// What was measured, each sorted, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Delays {
    /// From the return of a commit until its entry was read.
    pub(super) seen: Vec<f64>,
    /// From the moment at which an event was to come until its commit returned.
    pub(super) committed: Vec<f64>,
    /// Which part of the events was begun within a millisecond of its moment.
    pub(super) on_time: f64,
}

/// The value that this share is not above, of sorted values.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted
        .get(rank.clamp(1, sorted.len().max(1)) - 1)
        .copied()
        .unwrap_or_default()
}

/// One event: when it was to come, and when its commit returned.
struct Committed {
    number: u64,
    due: Instant,
    begun: Instant,
    returned: Instant,
}

impl Flow {
    /// Lets them come into a database whose relay runs, and waits until all of them were read.
    ///
    /// # Errors
    /// When an entry is missing or comes twice, or those of a key come in another order.
    pub(super) async fn run(self, ground: &Ground, database_url: &str, sink: Sink) -> Result<Delays> {
        let reader = Reader::start(&ground.redis_url(sink))?;
        let begins = Instant::now() + Duration::from_millis(100);
        let committed = self.produce(database_url, begins).await?;
        let seen = reader.finish(committed.len())?;
        let counts_from = begins + self.warms;
        let mut delays = Delays::default();
        let (mut counted, mut on_time) = (0_u32, 0_u32);
        for event in committed.iter().filter(|event| event.due >= counts_from) {
            let read = seen
                .get(&event.number)
                .ok_or_else(|| Failure::new(format!("event {} was never read", event.number)))?;
            delays.seen.push(milliseconds(event.returned, *read));
            delays.committed.push(milliseconds(event.due, event.returned));
            counted += 1;
            on_time += u32::from(event.begun.saturating_duration_since(event.due) <= ON_TIME);
        }
        delays.seen.sort_by(f64::total_cmp);
        delays.committed.sort_by(f64::total_cmp);
        delays.on_time = f64::from(on_time) / f64::from(counted.max(1));
        Ok(delays)
    }

    async fn produce(self, database_url: &str, begins: Instant) -> Result<Vec<Committed>> {
        let url = Login::Producer.database_url(database_url);
        let (free, mut frees) = mpsc::channel::<oneshot::Sender<(u64, Instant)>>(CONNECTIONS);
        let (done, mut dones) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        for key in 0..CONNECTIONS {
            tasks.spawn(writer(url.clone(), key, free.clone(), done.clone()));
        }
        drop((free, done));
        // On a thread: the runtime's timer knows whole milliseconds only, and would let what comes in one of them come at once.
        let number = tokio::task::spawn_blocking(move || {
            let mut random = StdRng::seed_from_u64(self.seed);
            let (mut due, mut number) = (begins, 0_u64);
            while due < begins + self.lasts {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                number += 1;
                // Whoever is free; when nobody is, the event waits, and its delay counts from the moment it was due.
                while let Some(writer) = frees.blocking_recv() {
                    if writer.send((number, due)).is_ok() {
                        break;
                    }
                }
                let gap = -(1.0 - random.random::<f64>()).ln() / f64::from(self.rate);
                due += Duration::from_secs_f64(gap);
            }
            number
        })
        .await?;
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        let mut committed = Vec::new();
        while let Some(event) = dones.recv().await {
            committed.push(event);
        }
        match committed.len() as u64 == number {
            true => Ok(committed),
            false => Err(Failure::new(format!(
                "{} commits of {number} events",
                committed.len()
            ))),
        }
    }
}

/// Says that it is free, appends what it is given, and so on until nobody listens.
async fn writer(
    url: String,
    key: usize,
    free: mpsc::Sender<oneshot::Sender<(u64, Instant)>>,
    done: mpsc::UnboundedSender<Committed>,
) -> Result {
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let append = client.prepare(APPEND).await?;
    let key = format!("key-{key}");
    loop {
        let (give, given) = oneshot::channel();
        if free.send(give).await.is_err() {
            return Ok(());
        }
        let Ok((number, due)) = given.await else {
            return Ok(());
        };
        let payload = format!(r#"{{"number":{number},"filling":"{}"}}"#, "x".repeat(170));
        let begun = Instant::now();
        client.query_one(&append, &[&TOPIC, &payload, &key]).await?;
        let returned = Instant::now();
        done.send(Committed {
            number,
            due,
            begun,
            returned,
        })
        .map_err(|_| Failure::new("nobody notes what was committed"))?;
    }
}

fn milliseconds(from: Instant, to: Instant) -> f64 {
    let forward = to.saturating_duration_since(from).as_secs_f64();
    // An entry may be read before the answer to its commit is.
    let backward = from.saturating_duration_since(to).as_secs_f64();
    (forward - backward) * 1e3
}

/// A thread that is blocked in XREAD.
struct Reader {
    thread: JoinHandle<Result<HashMap<u64, Instant>>>,
    is_over: Arc<AtomicBool>,
    wanted: std::sync::mpsc::Sender<usize>,
}

impl Reader {
    /// Reads from the first entry of the stream on that is written from now on.
    fn start(url: &str) -> Result<Self> {
        let mut redis = redis::Client::open(url)?.get_connection()?;
        let stream = format!("outbox:{TOPIC}");
        let last: redis::streams::StreamRangeReply = redis.xrevrange_count(&stream, "+", "-", 1)?;
        let after = last.ids.first().map_or("0".to_owned(), |entry| entry.id.clone());
        let is_over = Arc::new(AtomicBool::new(false));
        let (wanted, asked) = std::sync::mpsc::channel();
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || read(redis, &stream, after, &asked, &over));
        Ok(Self {
            thread,
            is_over,
            wanted,
        })
    }

    /// Waits until it has so many, and returns when it had each.
    fn finish(self, events: usize) -> Result<HashMap<u64, Instant>> {
        self.wanted
            .send(events)
            .map_err(|_| Failure::new("the reader ended before its time"))?;
        let since = Instant::now();
        while !self.thread.is_finished() {
            if since.elapsed() > PATIENCE {
                self.is_over.store(true, Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let seen = self
            .thread
            .join()
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
    asked: &std::sync::mpsc::Receiver<usize>,
    is_over: &AtomicBool,
) -> Result<HashMap<u64, Instant>> {
    let blocked = StreamReadOptions::default().block(BLOCKED);
    let mut seen = HashMap::new();
    let mut newest: HashMap<Vec<u8>, u64> = HashMap::new();
    let mut wanted = None;
    while wanted.is_none_or(|wanted| seen.len() < wanted) && !is_over.load(Ordering::Relaxed) {
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
        wanted = wanted.or_else(|| asked.try_recv().ok());
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn a_quantile_is_a_value_that_came() {
        let values: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert!((quantile(&values, 0.5) - 500.0).abs() < 1e-9);
        assert!((quantile(&values, 0.99) - 990.0).abs() < 1e-9);
        assert!((quantile(&values, 0.999) - 999.0).abs() < 1e-9);
        assert!((quantile(&values, 1.0) - 1000.0).abs() < 1e-9);
        assert!((quantile(&[3.0], 0.5) - 3.0).abs() < 1e-9);
        assert!(quantile(&[], 0.5).abs() < 1e-9);
    }
}
