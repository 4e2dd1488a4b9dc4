//! A backlog that was there before the peer started: how fast it comes to the stream, beside its own entries through `redis-cli --pipe`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use redis::Value;
use system_tests::Result;
use tempfile::NamedTempFile;

use super::ground::{Room, failed};
use super::running::Running;
use crate::speed::ground::redis_cli;

/// Nobody is so slow that this is too short for what is asked of it here.
const LIMIT: Duration = Duration::from_secs(900);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
const PAGE: usize = 5_000;

/// What a drain took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drained {
    /// Events in a second, from the first one seen to the last.
    pub(crate) rate: f64,
    /// From the start of the process to its first event, in milliseconds.
    pub(crate) first: f64,
    /// Entries in a second through `redis-cli --pipe`.
    pub(crate) raw: f64,
    /// Of the peer's process, in bytes.
    pub(crate) memory: u64,
}

/// The peer was there once and is gone; then the backlog comes, and then the peer.
pub(crate) async fn measure(room: &mut Room, running: &mut Running<'_>, events: u64) -> Result<Drained> {
    running.start(room)?;
    running.works(room).await?;
    running.stop().await?;
    room.fill(events).await?;
    let before = room.length().await?;
    let began = Instant::now();
    running.start(room)?;
    let mut first = None;
    let mut wanted = before + events;
    loop {
        running.lives()?;
        let length = room.length().await?;
        if length > before && first.is_none() {
            first = Some((Instant::now(), length - before));
        }
        if length >= wanted {
            let ended = Instant::now();
            let verdict = room.verdict().await?;
            if verdict.lost == 0 {
                let (at, seen) = first.unwrap_or((began, 0));
                let memory = running.peak_bytes();
                running.stop().await?;
                return Ok(Drained {
                    rate: (events - seen.min(events)) as f64 / (ended - at).as_secs_f64(),
                    first: (at - began).as_secs_f64() * 1e3,
                    raw: raw(room).await?,
                    memory,
                });
            }
            // Entries that were there twice are not what is waited for.
            wanted = before + events + verdict.doubled;
        }
        if began.elapsed() > LIMIT {
            let what = format!(
                "{length} of {wanted} entries in {LIMIT:?}: {}",
                running.log_tail()
            );
            return Err(failed(&room.peer(), what));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
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
