//! SIGKILL in the middle of a backlog, again and again, while producers commit; then the stream is compared with what was committed.
//!
//! Producers do what services do: they have a transaction id before they take the lock of the key, so ids and commits of a key are in
//! different orders. The order of a key is that of its counter, which its lock keeps in the order of commits.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use system_tests::{Failure, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ground::{Producer, Room, failed};
use super::mark::{Mark, Verdict};
use super::running::Running;

const WRITERS: u64 = 4;
/// Keys that they write to: few, so that they meet.
const HOT_KEYS: u64 = 20;
/// Between two transactions of a writer, so that the slowest peer gets to the end.
const PAUSE: Duration = Duration::from_millis(5);
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// A kill comes so long after the stream grew, at most: somewhere in what a peer does, and not where growing is seen.
const LATER: Duration = Duration::from_millis(30);
/// Without a new entry for this long, what is missing is lost. Longer than any lease or timeout of a peer.
const SILENCE: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(900);

/// Kills it so often while so many events wait for it.
pub(crate) async fn measure(
    room: &mut Room,
    running: &mut Running<'_>,
    events: u64,
    kills: u64,
) -> Result<Verdict> {
    running.start(room)?;
    running.works(room).await?;
    running.stop().await?;
    room.fill(events).await?;
    let seed: u64 = rand::random();
    eprintln!("{}: kills of seed {seed}", room.peer().name);
    let stop = CancellationToken::new();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(room.producer().await?, writer, stop.clone()));
    }
    let moments = StdRng::seed_from_u64(seed);
    let killed = storm(room, running, events / (kills + 1), kills, moments).await;
    stop.cancel();
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    killed?;
    settled(room, running).await
}

async fn storm(
    room: &mut Room,
    running: &mut Running<'_>,
    step: u64,
    kills: u64,
    mut moments: StdRng,
) -> Result {
    running.start(room)?;
    for _ in 0..kills {
        let aim = room.length().await? + step;
        let since = Instant::now();
        while room.length().await? < aim {
            running.lives()?;
            if since.elapsed() > LIMIT {
                return Err(failed(
                    &room.peer(),
                    format!("nothing more after a kill: {}", running.log_tail()),
                ));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        tokio::time::sleep(moments.random_range(Duration::ZERO..LATER)).await;
        running.kill()?;
        running.start(room)?;
    }
    Ok(())
}

/// Waits until all is there, or until nothing has come for long.
async fn settled(room: &mut Room, running: &mut Running<'_>) -> Result<Verdict> {
    let committed: u64 = room.committed().await?.values().sum();
    let mut length = room.length().await?;
    let mut changed = Instant::now();
    loop {
        let now = room.length().await?;
        if now != length {
            (length, changed) = (now, Instant::now());
        }
        let is_silent = changed.elapsed() > SILENCE;
        if now >= committed || is_silent {
            let verdict = room.verdict().await?;
            if verdict.lost == 0 || is_silent {
                running.stop().await?;
                return Ok(verdict);
            }
        }
        running.lives()?;
        tokio::time::sleep(LOOK_AGAIN * 200).await;
    }
}

async fn write(producer: Producer, writer: u64, stop: CancellationToken) -> Result {
    let client = &producer.client;
    let work = client
        .prepare("insert into bench.work (worker) values ($1)")
        .await?;
    let count = client
        .prepare("update bench.counter set number = number + 1 where key = $1 returning number")
        .await?;
    let mut turn = writer;
    while !stop.is_cancelled() {
        turn += 1;
        let key = format!("key-{}", turn * 7 % HOT_KEYS);
        client.batch_execute("begin").await?;
        client.execute(&work, &[&key]).await?;
        let row = client.query_one(&count, &[&key]).await?;
        let number = u64::try_from(row.get::<_, i64>(0))?;
        producer.insert(&Mark { key, number }).await?;
        client.batch_execute("commit").await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok::<(), Failure>(())
}
