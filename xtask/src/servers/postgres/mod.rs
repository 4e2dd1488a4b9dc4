//! A Postgres cluster of its own: made, started, crashed, copied, started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::account::Account;
use super::clock::Clock;
use super::disk::Disk;
use super::error::{Error, Result};
use super::find::Kind;
use super::install::{Permission, ensure};
use super::process::{Launch, Process};
use super::watchdog::Lifetime;
use super::{folder, port};

pub use life::Stop;
pub use options::PostgresOptions;

mod copies;

mod life;

mod options;

mod pause;

#[cfg(test)]
mod tests;

/// A running cluster, superuser `postgres` without password, on loopback only. Dropped: stopped and removed.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    port: u16,
    account: Account,
    programs: PathBuf,
    disk: Option<Disk>,
    clock: Option<Clock>,
}

impl Postgres {
    /// What to choose before starting one.
    #[must_use]
    pub fn options() -> PostgresOptions {
        PostgresOptions::default()
    }

    fn start(options: PostgresOptions) -> Result<Self> {
        let mut server = Self::prepare(options.lifetime)?;
        server.equip(&options)?;
        server.run_tool("initdb", &server.data(), |command| {
            command.args([
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
                "--no-instructions",
            ]);
        })?;
        server.settle_in(&options)?;
        server.start_again()?;
        Ok(server)
    }

    /// A folder under guard and a port, with nothing in it yet.
    fn prepare(lifetime: Lifetime) -> Result<Self> {
        let program = ensure(&[Kind::Postgres], Permission::LookOnly)?.remove(0);
        let account = Account::unprivileged()?;
        let port = port::free()?;
        let folder = folder::make("postgres", account)?;
        let programs = program.parent().map_or_else(PathBuf::new, Path::to_owned);
        let launch = Launch {
            program,
            arguments: vec!["-D".into(), folder.join("data").into()],
            account,
            end_signal: "QUIT",
        };
        Ok(Self {
            process: Process::guard(launch, folder, lifetime)?,
            port,
            account,
            programs,
            disk: None,
            clock: None,
        })
    }

    fn equip(&mut self, options: &PostgresOptions) -> Result<()> {
        if let Some(bytes) = options.disk_bytes {
            folder::make_inside(&self.data(), self.account)?;
            self.disk = Some(Disk::mount(&self.data(), bytes, self.account)?);
        }
        if options.clock {
            let clock = Clock::in_folder(self.process.folder(), self.account)?;
            self.process.surround(clock.environment());
            self.clock = Some(clock);
        }
        Ok(())
    }

    /// Writes what is ours into the configuration of the data that is there.
    fn settle_in(&self, options: &PostgresOptions) -> Result<()> {
        let file = self.data().join("postgresql.conf");
        let mut configuration = fs::read_to_string(&file).map_err(Error::io("read postgresql.conf"))?;
        configuration += &options.configuration(self.port, self.process.folder(), self.account)?;
        folder::write(&file, &configuration, self.account)
    }

    /// Runs one of the server's own tools on a data folder, as the server's account.
    fn run_tool(&self, name: &str, data: &Path, complete: impl FnOnce(&mut Command)) -> Result<()> {
        let mut command = Command::new(self.programs.join(name));
        command.arg("-D").arg(data);
        complete(&mut command);
        command.current_dir(self.process.folder()).stdin(Stdio::null());
        let output = self
            .account
            .apply(&mut command)
            .output()
            .map_err(Error::io(format!("start {name}")))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(Error::new(format!(
                "{name} ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            )))
        }
    }

    fn data(&self) -> PathBuf {
        self.process.folder().join("data")
    }

    /// The disk with its data.
    ///
    /// # Errors
    /// When it was started without one of its own.
    pub fn disk(&self) -> Result<&Disk> {
        let none = "this Postgres has no disk of its own: start it with PostgresOptions::disk";
        self.disk.as_ref().ok_or_else(|| Error::new(none))
    }

    /// The clock it lives by.
    ///
    /// # Errors
    /// When it was started without one of its own.
    pub fn clock(&self) -> Result<&Clock> {
        let none = "this Postgres has no clock of its own: start it with PostgresOptions::clock";
        self.clock.as_ref().ok_or_else(|| Error::new(none))
    }

    /// The port it listens on; kept over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the postmaster, while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.id()
    }

    /// URL of one of its databases, as superuser.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Appends a line to `postgresql.conf`; it holds after the next start or `reload`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure(&mut self, name: &str, value: impl ToString) -> Result<()> {
        let path = self.data().join("postgresql.conf");
        let mut text = fs::read_to_string(&path).map_err(Error::io("read postgresql.conf"))?;
        text += &format!("{name} = '{}'\n", value.to_string().replace('\'', "''"));
        fs::write(&path, text).map_err(Error::io("write postgresql.conf"))
    }

    /// Where its log is, for messages.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.process.log_path()
    }
}
