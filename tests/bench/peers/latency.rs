//! From COMMIT returned to seen by a reader that blocks in XREAD, at a steady rate.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamRangeReply, StreamReadReply};
use system_tests::{Failure, Result};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::ground::{Room, failed, found};
use super::mark::{Mark, quantile};

/// Producers that take turns, so that a commit that takes long holds no other back.
const PRODUCERS: u64 = 10;
/// How long a reader waits for an entry before it looks whether it is to end, in milliseconds.
const BLOCK: u64 = 200;
/// How long what was committed may take after the last commit.
const LAST: Duration = Duration::from_secs(60);
/// This part of the events warms up and is not counted.
const WARM_UP: f64 = 0.2;

/// Delays in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delay {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// Events by their numbers, and when.
type Times = Vec<(u64, Instant)>;

/// The peer runs, and works.
pub(crate) async fn measure(room: &Room, rate: u64, time: Duration) -> Result<Delay> {
    let key = format!("at-{rate}");
    let expected = rate * time.as_secs();
    let done = CancellationToken::new();
    let reader = tokio::spawn(read(
        room.redis().await?,
        room.peer().stream(),
        key.clone(),
        expected,
        done.clone(),
    ));
    let mut producers = JoinSet::new();
    let begin = tokio::time::Instant::now() + Duration::from_millis(100);
    for mine in 0..PRODUCERS {
        let producer = room.producer().await?;
        let key = key.clone();
        producers.spawn(async move {
            let step = Duration::from_secs(1) / u32::try_from(rate)?;
            let mut clock = interval_at(
                begin + step * u32::try_from(mine)?,
                step * u32::try_from(PRODUCERS)?,
            );
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut times: Times = Vec::new();
            for number in (mine + 1..=expected).step_by(usize::try_from(PRODUCERS)?) {
                clock.tick().await;
                let key = key.clone();
                producer.insert(&Mark { key, number }).await?;
                times.push((number, Instant::now()));
            }
            Ok::<_, Failure>(times)
        });
    }
    let mut committed: HashMap<u64, Instant> = HashMap::new();
    while let Some(times) = producers.join_next().await {
        committed.extend(times??);
    }
    let late = done.clone();
    let guard = tokio::spawn(async move {
        tokio::time::sleep(LAST).await;
        late.cancel();
    });
    let seen = reader.await??;
    guard.abort();
    let mut delays: Vec<f64> = Vec::new();
    for (number, at) in &seen {
        let from = *number as f64 > expected as f64 * WARM_UP;
        if let (true, Some(commit)) = (from, committed.get(number)) {
            // The reply to a commit may come behind the entry: then there was no delay.
            delays.push(at.saturating_duration_since(*commit).as_secs_f64() * 1e3);
        }
    }
    if seen.len() < committed.len() {
        let what = format!("{} of {} events came", seen.len(), committed.len());
        return Err(failed(&room.peer(), what));
    }
    delays.sort_by(f64::total_cmp);
    Ok(Delay {
        p50: quantile(&delays, 0.5),
        p99: quantile(&delays, 0.99),
    })
}

/// When each event of a key was seen first. Ends when all were, or when it is told to.
async fn read(
    mut redis: MultiplexedConnection,
    stream: &str,
    key: String,
    expected: u64,
    done: CancellationToken,
) -> Result<HashMap<u64, Instant>> {
    let mut seen = HashMap::new();
    let mut last = newest(&mut redis, stream).await?;
    while (seen.len() as u64) < expected && !done.is_cancelled() {
        let reply: Option<StreamReadReply> = redis::cmd("XREAD")
            .arg("COUNT")
            .arg(1_000)
            .arg("BLOCK")
            .arg(BLOCK)
            .arg("STREAMS")
            .arg(stream)
            .arg(&last)
            .query_async(&mut redis)
            .await?;
        let now = Instant::now();
        for entry in reply
            .iter()
            .flat_map(|reply| &reply.keys)
            .flat_map(|key| &key.ids)
        {
            last.clone_from(&entry.id);
            if let Some(mark) = found(entry.map.values()).filter(|mark| mark.key == key) {
                seen.entry(mark.number).or_insert(now);
            }
        }
    }
    Ok(seen)
}

/// The id behind which everything is new.
async fn newest(redis: &mut MultiplexedConnection, stream: &str) -> Result<String> {
    let page: StreamRangeReply = redis::cmd("XREVRANGE")
        .arg(stream)
        .arg("+")
        .arg("-")
        .arg("COUNT")
        .arg(1)
        .query_async(redis)
        .await?;
    Ok(page
        .ids
        .first()
        .map_or_else(|| "0-0".to_owned(), |entry| entry.id.clone()))
}
