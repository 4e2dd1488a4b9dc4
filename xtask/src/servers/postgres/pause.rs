//! A server that does not answer: every process of it is stopped, and goes on later.

use std::time::{Duration, Instant};

use super::Postgres;
use crate::servers::error::Result;
use crate::servers::process::{children, is_stopped, signal};

/// How long it is tried to stop all sessions, or to let all go on.
const SIGNALS_LIMIT: Duration = Duration::from_millis(500);

impl Postgres {
    /// SIGSTOP to the server and all of its sessions: connections stay open, nothing is answered.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<()> {
        self.process.signal("STOP")?;
        // While it still forks, a session may be missed; and while sessions end, the list of them may lack some.
        self.until_all(true)
    }

    /// SIGCONT to all of them.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        self.until_all(false)?;
        self.process.signal("CONT")
    }

    /// Stops every session, or lets every session go on, until that is so of all.
    fn until_all(&self, stopped: bool) -> Result<()> {
        let id = self.process.id();
        let deadline = Instant::now() + SIGNALS_LIMIT;
        loop {
            let sessions = id.map(children).unwrap_or_default();
            let other: Vec<u32> = sessions
                .into_iter()
                .filter(|session| is_stopped(*session) != stopped)
                .collect();
            let is_held = id.is_some_and(is_stopped);
            if other.is_empty() && is_held {
                return Ok(());
            }
            for session in other {
                // One that ended meanwhile needs no signal.
                signal(session, if stopped { "STOP" } else { "CONT" }).ok();
            }
            if Instant::now() > deadline {
                // One that ended and was not waited for yet is neither.
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
