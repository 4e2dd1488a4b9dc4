//! SIGKILL in the middle of a backlog, again and again, while producers commit; then the stream is compared with what was committed.
//!
//! Producers do what services do: they have a transaction id before they take the lock of the key, so ids and commits of a key are in
//! different orders. The order of a key is that of its counter, which its lock keeps in the order of commits.
//!
//! A kill counts only where a backlog was left by then; where too little was, more is filled in before it starts again. Nothing is
//! judged before all is there and nothing more has come for a while, so that what is sent again late is seen.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use system_tests::patience::until;
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
/// While no entry comes, it is looked at so often whether the peer lives.
const LOOK_AT_IT: Duration = Duration::from_secs(1);
/// A kill comes so long after the stream grew, at most: somewhere in what a peer does, and not where growing is seen.
const LATER: Duration = Duration::from_millis(30);
/// Without a new entry for this long, what is missing is lost. Longer than any lease or timeout of a peer.
const SILENCE: Duration = Duration::from_secs(60);
/// Without a new entry for this long, nothing that is there already is sent again.
const QUIET: Duration = Duration::from_secs(10);
/// A kill with less of the backlog left than this part of it does not count.
const LEAST_LEFT: u64 = 10;
/// Attempts at each kill that counts.
const ATTEMPTS: u64 = 4;
const LIMIT: Duration = Duration::from_secs(900);

/// What the kills did, and how many events waited at each of them.
#[derive(Clone, Debug)]
pub(crate) struct Stormed {
    pub(crate) verdict: Verdict,
    pub(crate) waiting: Vec<u64>,
}

/// Kills it so often while so many events wait for it.
pub(crate) async fn measure(
    room: &mut Room,
    running: &mut Running<'_>,
    events: u64,
    kills: u64,
) -> Result<Stormed> {
    running.start(room)?;
    running.works(room).await?;
    running.stop().await?;
    room.fill("key", events).await?;
    let seed: u64 = rand::random();
    eprintln!("{}: kills of seed {seed}", room.peer().name);
    let stop = CancellationToken::new();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(room.producer().await?, writer, stop.clone()));
    }
    let moments = StdRng::seed_from_u64(seed);
    let waiting = storm(room, running, events, kills, moments).await;
    stop.cancel();
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    Ok(Stormed {
        waiting: waiting?,
        verdict: settled(room, running).await?,
    })
}

async fn storm(
    room: &mut Room,
    running: &mut Running<'_>,
    events: u64,
    kills: u64,
    mut moments: StdRng,
) -> Result<Vec<u64>> {
    let mut waiting = Vec::new();
    running.start(room)?;
    for attempt in 0..kills * ATTEMPTS {
        grown(room, running, events / (kills + 1)).await?;
        // Not waiting for anything: a moment that nobody chose.
        tokio::time::sleep(moments.random_range(Duration::ZERO..LATER)).await;
        running.kill()?;
        // Nobody publishes now: what is not there yet waits.
        let left = room.verdict().await?.lost;
        if left >= events / LEAST_LEFT {
            waiting.push(left);
        }
        if waiting.len() as u64 == kills {
            running.start(room)?;
            return Ok(waiting);
        }
        if left < events / 2 {
            room.fill(&format!("more{attempt}"), events / 2).await?;
        }
        running.start(room)?;
    }
    let few = format!("{} of {kills} kills met a backlog", waiting.len());
    Err(failed(&room.peer(), few))
}

/// Waits until so many more entries are there.
async fn grown(room: &mut Room, running: &mut Running<'_>, step: u64) -> Result {
    let aim = room.length().await? + step;
    until("more after a kill", LIMIT, async || {
        running.tend(room)?;
        Ok((room.length().await? >= aim).then_some(()))
    })
    .await
    .map_err(|failure| failed(&room.peer(), format!("{failure}: {}", running.log_tail())))
}

/// Waits until all is there and nothing more comes, or until nothing has come for long.
async fn settled(room: &mut Room, running: &mut Running<'_>) -> Result<Verdict> {
    let mut more = room.more().await?;
    let (began, mut changed) = (Instant::now(), Instant::now());
    let mut judged: Option<Verdict> = None;
    loop {
        if changed.elapsed() > QUIET {
            let verdict = match judged {
                Some(verdict) => verdict,
                None => *judged.insert(room.verdict().await?),
            };
            if verdict.lost == 0 || changed.elapsed() > SILENCE {
                running.stop().await?;
                return Ok(verdict);
            }
        }
        if began.elapsed() > LIMIT {
            let what = format!("it does not come to rest: {}", running.log_tail());
            return Err(failed(&room.peer(), what));
        }
        running.tend(room)?;
        if more.comes(LOOK_AT_IT).await? {
            (changed, judged) = (Instant::now(), None);
        }
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
