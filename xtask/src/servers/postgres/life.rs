//! Stopped, crashed, started again.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Postgres;
use crate::servers::error::Result;
use crate::servers::process::{children, signal};

/// How long the processes of a killed server may take to let go of its shared memory.
const RELEASE_LIMIT: Duration = Duration::from_secs(20);
/// How long a crash may take before what is left is killed.
const CRASH_LIMIT: Duration = Duration::from_secs(2);

/// How to stop a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Ends sessions, writes everything, ends.
    Fast,
    /// A crash as far as the data is concerned: what was not flushed is gone, the next start recovers.
    Immediate,
}

impl Postgres {
    /// Makes it read its configuration again.
    ///
    /// # Errors
    /// When it does not run.
    pub fn reload(&self) -> Result<()> {
        self.process.signal("HUP")
    }

    /// True when it does not run: stopped, or given up by itself.
    ///
    /// # Errors
    /// When the system refuses to say.
    pub fn has_ended(&mut self) -> Result<bool> {
        self.process.has_ended()
    }

    /// SIGKILL to the postmaster; its children notice and end.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.process.end("KILL")
    }

    /// Stops it and waits until it is gone.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(&mut self, how: Stop) -> Result<()> {
        match how {
            Stop::Fast => self.process.end("INT"),
            Stop::Immediate => {
                if let Err(error) = self.process.end_within("QUIT", CRASH_LIMIT) {
                    eprintln!("{error}; killed with its sessions instead");
                    for session in self.process.id().map(children).unwrap_or_default() {
                        signal(session, "KILL").ok();
                    }
                    return self.kill();
                }
                Ok(())
            }
        }
    }

    /// Starts it again on the same port and data, with crash recovery where needed.
    ///
    /// # Errors
    /// With the tail of its log.
    pub fn start_again(&mut self) -> Result<()> {
        let status_file = self.data().join("postmaster.pid");
        let deadline = Instant::now() + RELEASE_LIMIT;
        loop {
            let status_file = status_file.clone();
            match self.process.start(move |id| is_ready(&status_file, id)) {
                Ok(()) => return Ok(()),
                // The children of a killed postmaster need a moment to notice; Postgres refuses to start beside them.
                Err(error)
                    if error.to_string().contains("pre-existing shared memory block")
                        && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Stops and starts it.
    ///
    /// # Errors
    /// As `stop` and `start_again`.
    pub fn restart(&mut self, how: Stop) -> Result<()> {
        self.stop(how)?;
        self.start_again()
    }
}

/// The postmaster writes its id to the first and its state to the eighth line of this file, as `pg_ctl` reads it.
fn is_ready(status_file: &Path, id: u32) -> bool {
    let Ok(text) = fs::read_to_string(status_file) else {
        return false;
    };
    let mut lines = text.lines();
    lines.next().is_some_and(|line| line.trim() == id.to_string())
        && lines.nth(6).is_some_and(|line| line.trim() == "ready")
}
