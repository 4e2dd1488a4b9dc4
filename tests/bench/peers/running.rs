//! A peer's process: started, seen to work, killed, gone with its value. What it says goes to a file, for messages.
//!
//! One that ends by itself is started again, as whoever runs it would have it started; the page says how often.

use std::fs::File;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use system_tests::Result;
use system_tests::patience::until;
use tempfile::TempDir;

use super::ground::{Room, failed};
use super::install::Installed;
use super::mark::{Mark, PROBE};
use super::peer::Peer;
use crate::speed::memory::peak_bytes;

/// Generous: a Java program starts in it on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// A probe that came before a peer looked may not count for it; another one does.
const PROBE_AGAIN: Duration = Duration::from_millis(500);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// One that ends by itself more often than this in one run does not work.
const ENDS_AT_MOST: u32 = 20;
const LOG: &str = "log";
const LOG_TAIL_LINES: usize = 20;

/// What a peer keeps between its starts, and its process while it runs.
pub(crate) struct Running<'a> {
    peer: Peer,
    installed: &'a Installed,
    folder: TempDir,
    child: Option<Child>,
    peak: u64,
    ended: u32,
}

impl<'a> Running<'a> {
    /// Not started yet.
    pub(crate) fn new(peer: Peer, installed: &'a Installed) -> Result<Self> {
        let folder = TempDir::new()?;
        std::fs::create_dir_all(folder.path().join("data"))?;
        Ok(Self {
            peer,
            installed,
            folder,
            child: None,
            peak: 0,
            ended: 0,
        })
    }

    pub(crate) fn start(&mut self, room: &Room) -> Result {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join(LOG))?;
        let child = self
            .peer
            .command(self.installed, room, &self.folder)?
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until something that is committed now comes to the stream.
    pub(crate) async fn works(&mut self, room: &mut Room) -> Result {
        let producer = room.producer().await?;
        let before = room.length().await?;
        let mut number = 0;
        let mut probed: Option<Instant> = None;
        until("a probe is on the stream", LIMIT, async || {
            self.tend(room)?;
            if probed.is_none_or(|at| at.elapsed() > PROBE_AGAIN) {
                number += 1;
                producer.insert(&probe(number)).await?;
                probed = Some(Instant::now());
            }
            Ok((room.length().await? > before).then_some(()))
        })
        .await
        .map_err(|failure| failed(&self.peer, format!("{failure}; its log:\n{}", self.log_tail())))?;
        // All probes, so that none of them comes later.
        until("all probes are on the stream", LIMIT, async || {
            let entries = room.entries().await?;
            Ok(entries.contains(&probe(number)).then_some(()))
        })
        .await
    }

    /// Starts it again when it ended by itself.
    ///
    /// # Errors
    /// When it does so again and again.
    pub(crate) fn tend(&mut self, room: &Room) -> Result {
        let Some(child) = &mut self.child else {
            return Ok(());
        };
        let Some(status) = child.try_wait()? else {
            return Ok(());
        };
        self.child = None;
        self.ended += 1;
        let what = format!("it ended with {status}; its log:\n{}", self.log_tail());
        if self.ended > ENDS_AT_MOST {
            return Err(failed(&self.peer, what));
        }
        eprintln!("{}: {what}", self.peer.name);
        self.start(room)
    }

    /// Does something while it runs, and looks after it meanwhile.
    pub(crate) async fn beside<T>(
        &mut self,
        room: &Room,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(LOOK_AGAIN * 20, &mut work).await {
                Ok(done) => return done,
                Err(_) => self.tend(room)?,
            }
        }
    }

    /// How often it ended by itself.
    pub(crate) fn ended(&self) -> u32 {
        self.ended
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result {
        self.note_memory();
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// SIGTERM, and waits until it ended; SIGKILL when it does not.
    pub(crate) async fn stop(&mut self) -> Result {
        self.note_memory();
        if let Some(child) = &mut self.child {
            xtask::servers::signal(child.id(), "TERM")?;
            // One that does not end is killed.
            until("it ends", LIMIT / 4, async || Ok(child.try_wait()?))
                .await
                .ok();
        }
        self.kill()
    }

    /// The most memory that one of its processes had resident so far, in bytes.
    pub(crate) fn peak_bytes(&mut self) -> u64 {
        self.note_memory();
        self.peak
    }

    fn note_memory(&mut self) {
        if let Some(child) = &self.child {
            // Gone: then what was noted before stays.
            self.peak = self.peak.max(peak_bytes(child.id()).unwrap_or_default());
        }
    }

    pub(crate) fn log_tail(&self) -> String {
        let log = std::fs::read(self.folder.path().join(LOG)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

/// An event that only shows that it works.
pub(crate) fn probe(number: u64) -> Mark {
    Mark {
        key: PROBE.to_owned(),
        number,
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // It may have ended already.
        self.kill().ok();
    }
}
