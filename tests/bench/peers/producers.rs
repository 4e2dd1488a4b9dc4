//! What producers pay: transactions of one event with the peer beside them, and the same without any; and what the peer published in
//! that time, since one that does nothing costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use system_tests::{Failure, Result};
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::ground::{KEYS, Room, failed};
use super::mark::Mark;
use super::running::Running;

const CLIENTS: u64 = 32;
/// Events that each client has ready before the clock runs, and uses in turns.
const PREPARED: u64 = 1_000;
/// Plans are made and pages are there before it counts.
const WARM_UP: Duration = Duration::from_millis(500);
/// The same row into a table that nobody reads: a key and the data.
const BARE: &str = "insert into bench.bare (key, data) values ($1, $2)";

/// With the peer beside them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside {
    /// Commits in a second.
    pub(crate) rate: f64,
    /// Events that came to the stream in a second of the same time.
    pub(crate) published: f64,
    /// Events that were committed from the first one on and were not there when it was over.
    pub(crate) left: u64,
}

/// Commits in a second of bare inserts.
pub(crate) async fn bare(room: &Room, time: Duration) -> Result<f64> {
    let mut prepared = Vec::new();
    for client in 0..CLIENTS {
        let connection = room.connect().await?;
        let insert = connection.prepare(BARE).await?;
        let rows: Vec<(String, String)> = marks(client)
            .map(|mark| {
                let data = mark.data();
                (mark.key, data)
            })
            .collect();
        prepared.push((connection, insert, rows));
    }
    let window = Window::begin(time);
    let mut clients = JoinSet::new();
    for (connection, insert, rows) in prepared {
        clients.spawn(async move {
            let mut counted = 0;
            for (key, data) in rows.iter().cycle() {
                if window.is_over() {
                    break;
                }
                connection.execute(&insert, &[key, data]).await?;
                counted += window.counts();
            }
            Ok(counted)
        });
    }
    sum(clients, time).await
}

/// Commits of the peer's own inserts, while it runs.
pub(crate) async fn beside(room: &mut Room, running: &mut Running<'_>, time: Duration) -> Result<Beside> {
    let mut prepared = Vec::new();
    for client in 0..CLIENTS {
        let producer = room.producer().await?;
        let rows: Vec<(String, String)> = marks(client).map(|mark| producer.row(&mark)).collect();
        prepared.push((producer, rows));
    }
    let at_first = room.length().await?;
    let committed = Arc::new(AtomicU64::new(0));
    let window = Window::begin(time);
    let mut clients = JoinSet::new();
    for (producer, rows) in prepared {
        let committed = Arc::clone(&committed);
        clients.spawn(async move {
            let mut counted = 0;
            for row in rows.iter().cycle() {
                if window.is_over() {
                    break;
                }
                producer.put(row).await?;
                counted += window.counts();
                committed.fetch_add(1, Ordering::Relaxed);
            }
            Ok(counted)
        });
    }
    sleep_until(window.from.into()).await;
    let before = room.length().await?;
    let between = Instant::now();
    sleep_until(window.until.into()).await;
    let length = room.length().await?;
    let published = (length - before) as f64 / between.elapsed().as_secs_f64();
    // Entries that are there twice count as what they are not: another event.
    let left = committed
        .load(Ordering::Relaxed)
        .saturating_sub(length - at_first);
    let rate = sum(clients, time).await?;
    running.tend(room)?;
    if running.ended() > 0 || published <= 0.0 {
        let what = format!(
            "beside producers it ended {} times and published {published:.0} events a second",
            running.ended()
        );
        return Err(failed(&room.peer(), what));
    }
    Ok(Beside {
        rate,
        published,
        left,
    })
}

async fn sum(mut clients: JoinSet<Result<u64>>, time: Duration) -> Result<f64> {
    let mut counted = 0;
    while let Some(client) = clients.join_next().await {
        counted += client??;
    }
    if counted == 0 {
        return Err(Failure::new("no producer committed anything"));
    }
    Ok(counted as f64 / time.as_secs_f64())
}

/// The events of one client.
fn marks(client: u64) -> impl Iterator<Item = Mark> {
    (1..=PREPARED).map(move |number| Mark {
        key: format!("client-{}", (client * 31 + number) % KEYS),
        number,
    })
}

/// The time in which commits count.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: Instant,
    until: Instant,
}

impl Window {
    fn begin(time: Duration) -> Self {
        let from = Instant::now() + WARM_UP;
        Self {
            from,
            until: from + time,
        }
    }

    fn is_over(self) -> bool {
        Instant::now() >= self.until
    }

    /// 1 for a commit that returns now.
    fn counts(self) -> u64 {
        let now = Instant::now();
        u64::from(now >= self.from && now < self.until)
    }
}
