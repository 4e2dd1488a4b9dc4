//! One server process under its watchdog: started, signalled, started again, and gone with its owner.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::account::Account;
use super::error::{Error, Result};
use super::watchdog::{Lifetime, Watchdog};

/// How long a server may take to answer, crash recovery included.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a server may take to end after it was told to.
const STOP_LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
const LOG_TAIL_LINES: usize = 15;

/// What to start and how to end it at once.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) account: Account,
    /// Signal with which this server and its children end at once.
    pub(crate) end_signal: &'static str,
}

#[derive(Debug)]
pub(crate) struct Process {
    launch: Launch,
    environment: Vec<(&'static str, OsString)>,
    folder: PathBuf,
    child: Option<Child>,
    watchdog: Watchdog,
    lifetime: Lifetime,
}

impl Process {
    /// Takes charge of the folder, without starting anything: from here on it is removed in every case.
    pub(crate) fn guard(launch: Launch, folder: PathBuf, lifetime: Lifetime) -> Result<Self> {
        let watchdog = Watchdog::start(&folder, launch.end_signal, lifetime)?;
        Ok(Self {
            launch,
            environment: Vec::new(),
            folder,
            child: None,
            watchdog,
            lifetime,
        })
    }

    /// What it finds in its environment besides ours, from its next start on.
    pub(crate) fn surround(&mut self, environment: Vec<(&'static str, OsString)>) {
        self.environment = environment;
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Process id, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts it and waits until `is_ready` says so for its process id.
    pub(crate) fn start(&mut self, mut is_ready: impl FnMut(u32) -> bool) -> Result<()> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .map_err(Error::io(format!("open {}", self.log_path().display())))?;
        // The shell writes down the process id before it becomes the server: no moment in which nobody knows it.
        // The file is opened by us, since the server's account may not own the folder's files.
        let pid_file =
            fs::File::create(self.folder.join("server.pid")).map_err(Error::io("create server.pid"))?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", r#"echo $$; exec 1>&2; exec "$0" "$@""#])
            .arg(&self.launch.program);
        command
            .args(&self.launch.arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command.stdout(pid_file).stderr(log);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // Ctrl-C is for the owner; its servers end after it, by the watchdog.
        command.process_group(0);
        let child = self
            .launch
            .account
            .apply(&mut command)
            .spawn()
            .map_err(Error::io(format!("start {}", self.launch.program.display())))?;
        let id = child.id();
        self.child = Some(child);
        let deadline = Instant::now() + START_LIMIT;
        while !is_ready(id) {
            if let Some(status) = self.ended()? {
                return Err(Error::new(format!(
                    "{} ended while starting ({status}); its log says:\n{}",
                    self.launch.program.display(),
                    self.log_tail()
                )));
            }
            if Instant::now() > deadline {
                return Err(Error::new(format!(
                    "{} did not answer within {} s; its log says:\n{}",
                    self.launch.program.display(),
                    START_LIMIT.as_secs(),
                    self.log_tail()
                )));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Sends a signal by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let id = self
            .id()
            .ok_or_else(|| Error::new(format!("{} does not run", self.launch.program.display())))?;
        signal(id, name)
    }

    /// Sends the signal and waits until the process is gone.
    pub(crate) fn end(&mut self, name: &str) -> Result<()> {
        self.end_within(name, STOP_LIMIT)
    }

    /// The same with a limit of its own.
    pub(crate) fn end_within(&mut self, name: &str, limit: Duration) -> Result<()> {
        if self.child.is_none() {
            return Ok(());
        }
        self.signal(name)?;
        let deadline = Instant::now() + limit;
        while self.ended()?.is_none() {
            if Instant::now() > deadline {
                return Err(Error::new(format!(
                    "{} did not end within {} s after SIG{name}; its log says:\n{}",
                    self.launch.program.display(),
                    limit.as_secs(),
                    self.log_tail()
                )));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// True when nothing runs.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        self.ended()?;
        Ok(self.child.is_none())
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        let status = child
            .try_wait()
            .map_err(Error::io("look at the server's process"))?;
        if status.is_some() {
            self.child = None;
            // Its id may be given to somebody else from now on.
            fs::remove_file(self.folder.join("server.pid")).ok();
        }
        Ok(status)
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.lifetime != Lifetime::OfValue {
            return;
        }
        self.watchdog.release();
        if let Some(mut child) = self.child.take() {
            // Reaped here, or the watchdog would take the dead child for a living one.
            child.wait().ok();
        }
        self.watchdog.join();
    }
}

/// The processes that a process started and that still run; none where the system does not say.
pub(crate) fn children(id: u32) -> Vec<u32> {
    let told = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    told.split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

/// Whether a process is stopped by a signal; not, where the system does not say.
#[must_use]
pub fn is_stopped(id: u32) -> bool {
    let told = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // Behind the name, which is in brackets and may have any.
    told.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('T'))
}

/// Whether the system says that a process has a handler for SIGTERM: from then on it does not end by it. Linux only.
#[must_use]
pub fn catches_term(id: u32) -> bool {
    /// The bit of a signal is that of its number less one.
    const TERM: u64 = 1 << 14;
    let told = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    told.lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & TERM != 0)
}

/// Sends a signal, by its name without `SIG`, to any process.
///
/// # Errors
/// When there is no such process or it belongs to somebody else.
pub fn signal(id: u32, name: &str) -> Result<()> {
    let status = Command::new("/bin/sh")
        .args(["-c", r#"kill -s "$0" "$1""#, name, &id.to_string()])
        .stderr(Stdio::null())
        .status()
        .map_err(Error::io("start kill"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::new(format!(
            "process {id} did not take SIG{name}: it is gone"
        )))
    }
}
