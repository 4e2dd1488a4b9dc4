//! A backlog that was there before the peer started: how fast it comes to the stream, beside its own entries through `redis-cli --pipe`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use redis::Value;
use redis::aio::MultiplexedConnection;
use system_tests::Result;
use system_tests::patience::until;
use tempfile::NamedTempFile;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::ground::{Room, failed};
use super::running::{Running, probe};
use crate::speed::program::redis_cli;

/// Nobody is so slow that this is too short for what is asked of it here.
const LIMIT: Duration = Duration::from_secs(900);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
const PAGE: usize = 5_000;

/// The number of the event that is waited for with nothing behind; a peer that is seen to work has counted less far.
const ALONE: u64 = u64::MAX / 4;

/// What a drain took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drained {
    /// Events in a second, from the start of the process to the last one.
    pub(crate) rate: f64,
    /// From the start of the process to its first event where that is the only one, in milliseconds.
    pub(crate) alone: f64,
    /// Events in a second, the time of such a start left out; none where it is not shorter than the whole.
    pub(crate) later: Option<f64>,
    /// From the start of the process to its first event, in milliseconds.
    pub(crate) first: f64,
    /// Entries in a second through `redis-cli --pipe`.
    pub(crate) raw: f64,
    /// Of the peer's process, in bytes.
    pub(crate) memory: u64,
}

/// The peer was there once and is gone; then the backlog comes, and then the peer. What its start takes is inside the time, for all of
/// them alike, and is measured before with a single event.
pub(crate) async fn measure(room: &mut Room, running: &mut Running<'_>, events: u64) -> Result<Drained> {
    running.start(room)?;
    running.works(room).await?;
    running.stop().await?;
    let alone = alone(room, running).await?;
    room.fill("key", events).await?;
    let before = room.length().await?;
    let began = Instant::now();
    let watch = Watch::begin(room.redis().await?, room.peer().stream(), began);
    running.start(room)?;
    let mut wanted = before + events;
    let entries = loop {
        running.tend(room)?;
        let length = room.length().await?;
        if length >= wanted {
            let verdict = room.verdict().await?;
            if verdict.phantom > 0 {
                return Err(failed(&room.peer(), format!("{verdict:?}")));
            }
            if let Some(entries) = verdict.complete {
                break entries;
            }
            // Entries that were there twice are not what is waited for.
            wanted = (length + 1).max(before + events + verdict.doubled);
        }
        if began.elapsed() > LIMIT {
            let what = format!(
                "{length} of {wanted} entries in {LIMIT:?}: {}",
                running.log_tail()
            );
            return Err(failed(&room.peer(), what));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    let lengths = watch.end().await?;
    let reached = |length: u64| {
        let look = lengths.iter().find(|(_, seen)| *seen >= length);
        look.map_or_else(|| began.elapsed(), |(at, _)| *at)
    };
    let (took, first) = (reached(entries), reached(before + 1));
    let memory = running.peak_bytes();
    running.stop().await?;
    let later = took.checked_sub(alone).filter(|later| !later.is_zero());
    Ok(Drained {
        rate: events as f64 / took.as_secs_f64(),
        alone: alone.as_secs_f64() * 1e3,
        later: later.map(|later| events as f64 / later.as_secs_f64()),
        first: first.as_secs_f64() * 1e3,
        raw: raw(room).await?,
        memory,
    })
}

/// How long the stream was, and when. Goes on while somebody else looks at the entries, so that the end is known whenever it is found.
struct Watch {
    stop: CancellationToken,
    looks: JoinHandle<Result<Vec<(Duration, u64)>>>,
}

impl Watch {
    fn begin(mut redis: MultiplexedConnection, stream: &'static str, began: Instant) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let looks = tokio::spawn(async move {
            let mut looks: Vec<(Duration, u64)> = Vec::new();
            while !stopped.is_cancelled() {
                let length = redis::cmd("XLEN").arg(stream).query_async(&mut redis).await?;
                if looks.last().is_none_or(|(_, last)| length > *last) {
                    looks.push((began.elapsed(), length));
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Ok(looks)
        });
        Self { stop, looks }
    }

    async fn end(self) -> Result<Vec<(Duration, u64)>> {
        self.stop.cancel();
        self.looks.await?
    }
}

/// From the start of the process until the only event that waits for it is on the stream.
async fn alone(room: &mut Room, running: &mut Running<'_>) -> Result<Duration> {
    let waiting = probe(ALONE);
    room.producer().await?.insert(&waiting).await?;
    let before = room.length().await?;
    let began = Instant::now();
    running.start(room)?;
    let took = until("the event that waited is on the stream", LIMIT, async || {
        running.tend(room)?;
        let seen = began.elapsed();
        let is_there = room.length().await? > before && room.entries().await?.contains(&waiting);
        Ok(is_there.then_some(seen))
    })
    .await?;
    running.stop().await?;
    Ok(took)
}

/// The entries of the stream once more, with their ids and fields, on a stream of their own.
async fn raw(room: &mut Room) -> Result<f64> {
    let file = NamedTempFile::new()?;
    let mut writer = BufWriter::new(file.reopen()?);
    let mut redis = room.redis().await?;
    let mut after = "-".to_owned();
    let mut count = 0_u64;
    loop {
        let page: Vec<(String, Vec<Value>)> = redis::cmd("XRANGE")
            .arg(room.peer().stream())
            .arg(&after)
            .arg("+")
            .arg("COUNT")
            .arg(PAGE)
            .query_async(&mut redis)
            .await?;
        let Some((last, _)) = page.last() else { break };
        after = format!("({last}");
        for (id, fields) in &page {
            count += 1;
            write!(writer, "*{}\r\n", fields.len() + 3)?;
            let words = [b"XADD".as_slice(), b"raw", id.as_bytes()];
            for word in words.into_iter().chain(fields.iter().map(bytes)) {
                write!(writer, "${}\r\n", word.len())?;
                writer.write_all(word)?;
                writer.write_all(b"\r\n")?;
            }
        }
    }
    // What is still on its way to the disk would be written beside what is measured.
    writer
        .into_inner()
        .map_err(|error| error.into_error())?
        .sync_all()?;
    // As empty as it was for the peer.
    redis::cmd("FLUSHALL")
        .arg("SYNC")
        .query_async::<()>(&mut redis)
        .await?;
    let began = Instant::now();
    let ended = Command::new(redis_cli()?)
        .args(["-u", room.redis_url(), "--pipe"])
        .stdin(Stdio::from(File::open(file.path())?))
        .output()?;
    let seconds = began.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&ended.stdout);
    match said.contains(&format!("errors: 0, replies: {count}")) {
        true => Ok(count as f64 / seconds),
        false => Err(failed(&room.peer(), format!("redis-cli: {said}"))),
    }
}

fn bytes(value: &Value) -> &[u8] {
    match value {
        Value::BulkString(bytes) => bytes,
        _ => b"",
    }
}
