//! Events that come by a schedule, whether or not those before them are through: when each commit returned, and when a reader that is
//! blocked in `XREAD` had the entry.
//!
//! Arrivals are drawn from a seed, with gaps as of people who know nothing of each other. Each is one `outbox.append`, prepared, a
//! transaction of its own, by the first connection that is free; a connection is a key, so that order per key is known. What is
//! measured begins when the commit returned to its client and ends when the answer of the [`Reader`] is there.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use system_tests::{Failure, Login, Result};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::ground::{Ground, Sink};
use super::quantile::Quantiles;
use super::reader::Reader;

pub(super) const TOPIC: &str = "bench.flowing";
const CONNECTIONS: usize = 32;
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

/// What was measured, in milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Delays {
    /// From the return of a commit until its entry was read.
    pub(super) seen: Quantiles,
    /// From the moment at which an event was to come until its commit returned.
    pub(super) committed: Quantiles,
    /// Which part of the events was begun within a millisecond of its moment.
    pub(super) on_time: f64,
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
        let seen = reader.finish(committed.len()).await?;
        let counts_from = begins + self.warms;
        let (mut delays, mut commits) = (Vec::new(), Vec::new());
        let mut on_time = 0_u32;
        for event in committed.iter().filter(|event| event.due >= counts_from) {
            let read = seen
                .get(&event.number)
                .ok_or_else(|| Failure::new(format!("event {} was never read", event.number)))?;
            delays.push(milliseconds(event.returned, *read));
            commits.push(milliseconds(event.due, event.returned));
            on_time += u32::from(event.begun.saturating_duration_since(event.due) <= ON_TIME);
        }
        Ok(Delays {
            on_time: f64::from(on_time) / (delays.len().max(1) as f64),
            seen: Quantiles::of(delays),
            committed: Quantiles::of(commits),
        })
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
                loop {
                    // Without writers there is nobody to wait for: the run failed, or was given up.
                    let Some(writer) = frees.blocking_recv() else {
                        return number;
                    };
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
