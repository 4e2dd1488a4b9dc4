//! What producers pay: transactions of one event with the peer beside them, and the same without any.

use std::time::{Duration, Instant};

use system_tests::{Failure, Result};
use tokio::task::JoinSet;

use super::ground::{KEYS, Room};
use super::mark::Mark;

const CLIENTS: u64 = 32;
/// Plans are made and pages are there before it counts.
const WARM_UP: Duration = Duration::from_millis(500);
/// The same row into a table that nobody reads: a key and the data.
const BARE: &str = "insert into bench.bare (key, data) values ($1, $2)";

/// Commits in a second of bare inserts.
pub(crate) async fn bare(room: &Room, time: Duration) -> Result<f64> {
    let until = Instant::now() + WARM_UP + time;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let connection = room.connect().await?;
        clients.spawn(async move {
            let insert = connection.prepare(BARE).await?;
            let mut count = Count::until(until, time);
            while let Some(mark) = count.next(client) {
                connection.execute(&insert, &[&mark.key, &mark.data()]).await?;
            }
            Ok(count.counted)
        });
    }
    sum(clients, time).await
}

/// Commits in a second of the peer's own inserts, while it runs.
pub(crate) async fn beside(room: &Room, time: Duration) -> Result<f64> {
    let until = Instant::now() + WARM_UP + time;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let producer = room.producer().await?;
        clients.spawn(async move {
            let mut count = Count::until(until, time);
            while let Some(mark) = count.next(client) {
                producer.insert(&mark).await?;
            }
            Ok(count.counted)
        });
    }
    sum(clients, time).await
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

/// The events of one client: it counts what it commits after the warm-up.
struct Count {
    from: Instant,
    until: Instant,
    number: u64,
    counted: u64,
}

impl Count {
    fn until(until: Instant, time: Duration) -> Self {
        Self {
            from: until.checked_sub(time).unwrap_or(until),
            until,
            number: 0,
            counted: 0,
        }
    }

    /// The next event, or none when the time is over. What was committed last is counted when it asks for the next.
    fn next(&mut self, client: u64) -> Option<Mark> {
        let now = Instant::now();
        self.counted += u64::from(self.number > 0 && now >= self.from && now < self.until);
        self.number += 1;
        (now < self.until).then(|| Mark {
            key: format!("client-{}", (client * 31 + self.number) % KEYS),
            number: self.number,
        })
    }
}
