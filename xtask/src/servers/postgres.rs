//! A Postgres cluster of its own: made, started, crashed, started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::account::Account;
use super::backup::Backup;
use super::clock::Clock;
use super::disk::Disk;
use super::error::{Error, Result};
use super::find::Kind;
use super::install::{Permission, ensure};
use super::process::{Launch, Process, children, is_stopped, signal};
use super::watchdog::Lifetime;
use super::{folder, port};

/// How long the processes of a killed server may take to let go of its shared memory.
const RELEASE_LIMIT: Duration = Duration::from_secs(20);

/// How long a crash may take before what is left is killed.
const CRASH_LIMIT: Duration = Duration::from_secs(15);
/// How long it is tried to stop all sessions, or to let all go on.
const SIGNALS_LIMIT: Duration = Duration::from_millis(500);

/// How to stop a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Ends sessions, writes everything, ends.
    Fast,
    /// A crash as far as the data is concerned: what was not flushed is gone, the next start recovers.
    Immediate,
}

/// How a cluster is to be.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    fsync: bool,
    settings: Vec<(String, String)>,
    tls: Option<(PathBuf, PathBuf)>,
    disk_bytes: Option<u64>,
    clock: bool,
    lifetime: Lifetime,
}

impl PostgresOptions {
    /// Really writes to disk at commit; off by default, since no test pulls the plug of the machine.
    #[must_use]
    pub fn fsync(mut self, on: bool) -> Self {
        self.fsync = on;
        self
    }

    /// One line of `postgresql.conf`; the last one of a name holds.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// Serves TLS with this certificate and key (PEM files, copied).
    #[must_use]
    pub fn tls(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls = Some((certificate.into(), key.into()));
        self
    }

    /// Has its data on a disk of so many bytes of its own, which can be filled. Only root can make one.
    #[must_use]
    pub fn disk(mut self, bytes: u64) -> Self {
        self.disk_bytes = Some(bytes);
        self
    }

    /// Lives by a clock of its own, which can be set.
    #[must_use]
    pub fn clock(mut self) -> Self {
        self.clock = true;
        self
    }

    /// Until when it lives.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Makes the cluster and starts it.
    ///
    /// # Errors
    /// When there is no Postgres, or it does not start: the error has the tail of its log.
    pub fn start(self) -> Result<Postgres> {
        Postgres::start(self)
    }

    fn configuration(&self, port: u16, folder: &Path, account: Account) -> Result<String> {
        let mut text = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nmax_connections = 200\n\
             fsync = {fsync}\nfull_page_writes = {fsync}\nshared_buffers = 64MB\nlog_min_messages = warning\n\
             log_line_prefix = '%m [%p] '\n",
            fsync = if self.fsync { "on" } else { "off" },
        );
        if let Some((certificate, key)) = &self.tls {
            for (from, name) in [(certificate, "server.crt"), (key, "server.key")] {
                let content =
                    fs::read_to_string(from).map_err(Error::io(format!("read {}", from.display())))?;
                let to = folder.join(name);
                folder::write(&to, &content, account)?;
                fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                    .map_err(Error::io(format!("close {}", to.display())))?;
            }
            text += &format!(
                "ssl = on\nssl_cert_file = '{0}/server.crt'\nssl_key_file = '{0}/server.key'\n",
                folder.display()
            );
        }
        for (name, value) in &self.settings {
            text += &format!("{name} = '{}'\n", value.replace('\'', "''"));
        }
        Ok(text)
    }
}

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

    /// Makes a streaming standby of this server and starts it: a base backup that follows what is written from now on.
    /// `through`: the port it reads from, this server's own or that of something in between.
    ///
    /// # Errors
    /// When the backup cannot be taken or the standby does not start: the error has the tail of its log.
    pub fn standby(&self, through: u16, options: PostgresOptions) -> Result<Self> {
        let mut standby = Self::prepare(options.lifetime)?;
        self.copy_to(&standby.data())?;
        standby.settle_in(&options)?;
        standby.configure(
            "primary_conninfo",
            format!("host=127.0.0.1 port={through} user=postgres application_name=standby"),
        )?;
        folder::write(&standby.data().join("standby.signal"), "", standby.account)?;
        standby.start_again()?;
        Ok(standby)
    }

    /// Makes a copy of this server beside it, with its history: two servers that say the same of themselves.
    ///
    /// # Errors
    /// When it cannot be copied or the copy does not start.
    pub fn copy_beside(&self, options: PostgresOptions) -> Result<Self> {
        let mut copy = Self::prepare(options.lifetime)?;
        self.copy_to(&copy.data())?;
        copy.settle_in(&options)?;
        copy.start_again()?;
        Ok(copy)
    }

    /// Crashes it, puts an older copy in the place of its data and recovers from there with these settings (a target, and where
    /// the write-ahead log was archived), on the same port. Ready once it takes writes.
    ///
    /// # Errors
    /// When the copy cannot be put there, or does not come to its target.
    pub fn recover_to(&mut self, backup: &Backup, settings: &[(&str, &str)]) -> Result<()> {
        self.stop(Stop::Immediate)?;
        backup.put_in_place_of(&self.data())?;
        for (name, value) in settings {
            self.configure(name, value)?;
        }
        folder::write(&self.data().join("recovery.signal"), "", self.account)?;
        self.start_again()
    }

    /// Makes a standby the primary, and waits until it takes writes.
    ///
    /// # Errors
    /// When it is no standby, or does not come to an end with what it has.
    pub fn promote(&mut self) -> Result<()> {
        self.run_tool("pg_ctl", &self.data(), |command| {
            command.args(["promote", "-w", "-t", "60"]);
        })
    }

    /// A base backup of the running server, to be restored later.
    ///
    /// # Errors
    /// When it cannot be taken.
    pub fn back_up(&self) -> Result<Backup> {
        let backup = Backup::room("postgres-backup", self.account)?;
        self.copy_to(&backup.data())?;
        Ok(backup)
    }

    fn copy_to(&self, to: &Path) -> Result<()> {
        let port = self.port.to_string();
        self.run_tool("pg_basebackup", to, |command| {
            command.args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres"]);
            command.args(["-X", "stream", "-c", "fast", "--no-sync"]);
        })
    }

    /// Crashes it, puts an older copy in the place of its data and starts that on the same port.
    ///
    /// # Errors
    /// When the copy cannot be put there or does not start.
    pub fn restore(&mut self, backup: &Backup) -> Result<()> {
        self.stop(Stop::Immediate)?;
        backup.put_in_place_of(&self.data())?;
        self.start_again()
    }

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

    /// Starts it again as a standby that waits for a primary which never answers: reads are served, nothing is written.
    ///
    /// # Errors
    /// As `stop` and `start_again`, or when the signal file cannot be written.
    pub fn restart_as_standby(&mut self) -> Result<()> {
        self.stop(Stop::Fast)?;
        fs::write(self.data().join("standby.signal"), "").map_err(Error::io("write standby.signal"))?;
        self.start_again()
    }

    /// Where its log is, for messages.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.process.log_path()
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

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::{Postgres, Stop};
    use crate::servers::{Error, PgBouncer};

    /// The first line of what psql says.
    fn ask(server: &Postgres, sql: &str) -> Result<String, Error> {
        let output = Command::new(server.programs.join("psql"))
            .args([&server.url("postgres"), "-XAtqc", sql])
            .output()
            .map_err(Error::io("start psql"))?;
        if !output.status.success() {
            return Err(Error::new(String::from_utf8_lossy(&output.stderr)));
        }
        let said = String::from_utf8_lossy(&output.stdout);
        Ok(said.lines().next().unwrap_or_default().to_owned())
    }

    /// Asks until that is the answer: nothing announces what a standby has.
    fn until(server: &Postgres, sql: &str, answer: &str) -> Result<(), Error> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while ask(server, sql)? != answer {
            if Instant::now() > deadline {
                return Err(Error::new(format!("{sql} never gave {answer}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    #[test]
    fn a_standby_follows_and_is_promoted_and_an_older_copy_is_older() -> Result<(), Error> {
        let mut server = Postgres::options().start()?;
        ask(&server, "create table t as select 1 as n")?;
        let backup = server.back_up()?;
        let mut standby = server.standby(server.port(), Postgres::options())?;
        ask(&server, "insert into t values (2)")?;
        until(&standby, "select count(*) from t", "2")?;
        assert!(ask(&standby, "insert into t values (3)").is_err());
        standby.promote()?;
        ask(&standby, "insert into t values (3)")?;
        server.pause()?;
        server.resume()?;
        assert_eq!(ask(&server, "select count(*) from t")?, "2");
        server.restore(&backup)?;
        assert_eq!(ask(&server, "select count(*) from t")?, "1");
        Ok(())
    }

    #[test]
    fn a_crashed_server_comes_back_on_its_port_and_a_dropped_one_leaves_nothing() -> Result<(), Error> {
        let mut server = Postgres::options().set("max_prepared_transactions", 10).start()?;
        let (port, folder) = (server.port(), server.process.folder().to_owned());
        let pooler = PgBouncer::start(&server, 5)?;
        assert!(pooler.url("postgres").starts_with("postgres://"));
        server.restart(Stop::Immediate)?;
        server.kill()?;
        server.start_again()?;
        assert_eq!(server.port(), port);
        drop(pooler);
        drop(server);
        assert!(!folder.exists(), "{} is still there", folder.display());
        Ok(())
    }
}
