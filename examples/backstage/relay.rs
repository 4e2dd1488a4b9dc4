//! The relay binary as a process: started, killed, stopped; its log in a file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::guard::Guard;
use crate::Result;

const RELAY: &str = "outbox-relay";
const STOP_LIMIT: Duration = Duration::from_secs(15);
const LOG_TAIL_LINES: usize = 20;

/// `outbox-relay run`. The guard ends it with this program.
#[derive(Debug)]
pub struct Relay {
    name: String,
    child: Child,
    id: u32,
    pid_file: PathBuf,
    log: PathBuf,
}

impl Relay {
    /// Starts it, without waiting for anything.
    ///
    /// # Errors
    /// When the binary is missing.
    pub fn start(guard: &Guard, name: &str, database_url: &str, redis_url: &str) -> Result<Self> {
        let pid_file = guard.folder().join(format!("relay-{name}.pid"));
        let log = guard.folder().join(format!("relay-{name}.log"));
        // The shell writes its process id down before it becomes the relay: no moment in which the guard does not know it.
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", r#"echo $$ >"$1"; shift; exec "$@""#, "relay"])
            .arg(&pid_file)
            .arg(beside_me(RELAY)?)
            .arg("run");
        without_settings(&mut command)
            .env("DATABASE_URL", database_url)
            .env("REDIS_URL", redis_url)
            .env("OUTBOX_HTTP_BIND", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(&log)?)
            .process_group(0);
        let child = command.spawn()?;
        let id = child.id().ok_or("the relay ended at once")?;
        Ok(Self {
            name: name.to_owned(),
            child,
            id,
            pid_file,
            log,
        })
    }

    /// What it is called here.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// When it was gone already: then this killed nothing.
    pub async fn kill(&mut self) -> Result {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!(
                "relay {} had ended by itself ({status}); its log:\n{}",
                self.name,
                self.log_tail()
            )
            .into());
        }
        self.forget();
        self.child.kill().await?;
        Ok(())
    }

    /// SIGTERM, and waits until it ended by itself; SIGKILL when it does not.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn stop(&mut self) -> Result {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        xtask::servers::signal(self.id, "TERM")?;
        if timeout(STOP_LIMIT, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        self.forget();
        Ok(())
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// Its id may be another process' once it is waited for.
    fn forget(&self) {
        std::fs::remove_file(&self.pid_file).ok();
    }
}

/// Migrates a database with the relay's own command; `inbox` for what a consumer needs.
///
/// # Errors
/// With what the command says.
pub async fn migrate(database_url: &str, inbox: bool) -> Result {
    let mut command = Command::new(beside_me(RELAY)?);
    command.arg("migrate").args(inbox.then_some("--inbox"));
    let output = without_settings(&mut command)
        .env("DATABASE_URL", database_url)
        .stdin(Stdio::null())
        .output()
        .await?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "outbox-relay migrate ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}

/// A program that was built with this one.
///
/// # Errors
/// When it is not there.
pub fn beside_me(name: &str) -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    let path = me.parent().unwrap_or(Path::new(".")).join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "{} is not there: build it with cargo build --package outbox-relay --package outbox-examples --bins",
        path.display()
    )
    .into())
}

/// What a person has set for relays of their own is not for this one.
fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["OUTBOX_", "DATABASE_URL", "REDIS_URL"]
            .iter()
            .any(|ours| text.starts_with(ours))
        {
            command.env_remove(&name);
        }
    }
    command
}
