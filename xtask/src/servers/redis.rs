//! A Redis server of its own: started, crashed, stopped in its tracks, started again with what it had on disk.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use super::account::Account;
use super::backup::Backup;
use super::disk::Disk;
use super::error::{Error, Result};
use super::find::Kind;
use super::install::{Permission, ensure};
use super::process::{Launch, Process};
use super::watchdog::Lifetime;
use super::{folder, port};

const PING_LIMIT: Duration = Duration::from_millis(500);
/// How long the server may take for one command of ours.
const COMMAND_LIMIT: Duration = Duration::from_secs(20);
const CONFIGURATION: &str = "redis.conf";
/// Where it keeps what is on disk, below its folder.
const DATA: &str = "data";

/// How a server is to be.
#[derive(Clone, Debug, Default)]
pub struct RedisOptions {
    settings: Vec<(String, String)>,
    disk_bytes: Option<u64>,
    lifetime: Lifetime,
}

impl RedisOptions {
    /// One line of `redis.conf`, for example `appendonly`, `yes`. Default: nothing is kept on disk.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// Keeps every write on disk: `appendonly yes`, `appendfsync always`.
    #[must_use]
    pub fn durable(self) -> Self {
        self.set("appendonly", "yes").set("appendfsync", "always")
    }

    /// Copies everything that the server on this port has; the port may be that of something in between.
    #[must_use]
    pub fn replica_of(self, port: u16) -> Self {
        self.set("replicaof", format!("127.0.0.1 {port}"))
            .set("repl-diskless-sync-delay", 0)
    }

    /// Has its data on a disk of so many bytes of its own, which can be filled. Only root can make one.
    #[must_use]
    pub fn disk(mut self, bytes: u64) -> Self {
        self.disk_bytes = Some(bytes);
        self
    }

    /// Until when it lives.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When there is no Redis, or it does not start: the error has the tail of its log.
    pub fn start(self) -> Result<Redis> {
        let program = ensure(&[Kind::Redis], Permission::LookOnly)?.remove(0);
        let port = port::free()?;
        let folder = folder::make("redis", Account::Mine)?;
        let mut configuration = format!(
            "bind 127.0.0.1\nport {port}\ndaemonize no\ndir {}\nsave \"\"\nappendonly no\ndatabases 8192\n\
             maxmemory-policy noeviction\nshutdown-timeout 0\n",
            folder.join(DATA).display()
        );
        for (name, value) in &self.settings {
            configuration += &format!("{name} {value}\n");
        }
        std::fs::create_dir(folder.join(DATA)).map_err(Error::io("create the data folder of Redis"))?;
        let file = folder.join(CONFIGURATION);
        let launch = Launch {
            program,
            arguments: vec![file.clone().into()],
            account: Account::Mine,
            end_signal: "KILL",
        };
        let process = Process::guard(launch, folder, self.lifetime)?;
        folder::write(&file, &configuration, Account::Mine)?;
        let mut server = Redis {
            process,
            port,
            disk: None,
        };
        if let Some(bytes) = self.disk_bytes {
            let data = server.folder().join(DATA);
            server.disk = Some(Disk::mount(&data, bytes, Account::Mine)?);
        }
        server.start_again()?;
        Ok(server)
    }
}

/// A running server without password, on loopback only. Dropped: killed and removed.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: u16,
    disk: Option<Disk>,
}

impl Redis {
    /// What to choose before starting one.
    #[must_use]
    pub fn options() -> RedisOptions {
        RedisOptions::default()
    }

    /// The disk with its data.
    ///
    /// # Errors
    /// When it was started without one of its own.
    pub fn disk(&self) -> Result<&Disk> {
        let none = "this Redis has no disk of its own: start it with RedisOptions::disk";
        self.disk.as_ref().ok_or_else(|| Error::new(none))
    }

    /// The port it listens on; kept over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.id()
    }

    /// URL of one of its databases.
    #[must_use]
    pub fn url(&self, database: u32) -> String {
        format!("redis://127.0.0.1:{}/{database}", self.port)
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.process.end("KILL")
    }

    /// SIGTERM, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(&mut self) -> Result<()> {
        self.process.end("TERM")
    }

    /// SIGSTOP: connections stay open, nothing is answered.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<()> {
        self.process.signal("STOP")
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        self.process.signal("CONT")
    }

    /// Starts it again on the same port and folder; answers once what is on disk is loaded.
    ///
    /// # Errors
    /// With the tail of its log.
    pub fn start_again(&mut self) -> Result<()> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        self.process.start(move |_| answers(address))
    }

    /// Asks it one command without spaces in its words, and gives the first line of the answer.
    ///
    /// # Errors
    /// When it does not answer, or with an error.
    pub fn command(&self, command: &str) -> Result<String> {
        let ask = || -> std::io::Result<String> {
            let address = SocketAddr::from(([127, 0, 0, 1], self.port));
            let mut stream = TcpStream::connect_timeout(&address, COMMAND_LIMIT)?;
            stream.set_read_timeout(Some(COMMAND_LIMIT))?;
            stream.write_all(format!("{command}\r\n").as_bytes())?;
            let mut reply = [0_u8; 512];
            let length = stream.read(&mut reply)?;
            Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
        };
        let reply = ask().map_err(Error::io(format!("ask Redis {command:?}")))?;
        let line = reply.lines().next().unwrap_or_default().to_owned();
        if line.starts_with('-') || line.is_empty() {
            return Err(Error::new(format!("Redis answered {command:?} with {line:?}")));
        }
        Ok(line)
    }

    /// Makes a replica a primary with what it has.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn promote(&self) -> Result<()> {
        self.command("REPLICAOF NO ONE").map(drop)
    }

    /// Appends a line to its configuration; it holds after the next start.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure(&mut self, name: &str, value: impl ToString) -> Result<()> {
        let path = self.process.folder().join(CONFIGURATION);
        let mut text = std::fs::read_to_string(&path).map_err(Error::io("read redis.conf"))?;
        text += &format!("{name} {}\n", value.to_string());
        std::fs::write(&path, text).map_err(Error::io("write redis.conf"))
    }

    /// A copy of what it has on disk at this moment, to be restored later.
    ///
    /// # Errors
    /// When it cannot be taken.
    pub fn back_up(&self) -> Result<Backup> {
        let backup = Backup::room("redis-backup", Account::Mine)?;
        backup.take(&self.data())?;
        Ok(backup)
    }

    /// Kills it, puts an older copy in the place of its data and starts that on the same port.
    ///
    /// # Errors
    /// When the copy cannot be put there or does not start.
    pub fn restore(&mut self, backup: &Backup) -> Result<()> {
        self.kill()?;
        backup.put_in_place_of(&self.data())?;
        self.start_again()
    }

    /// Where it keeps what is on disk.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.process.folder().join(DATA)
    }

    /// Where its log is, for messages.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.process.log_path()
    }

    /// Its folder, with `redis.conf` and the append-only files.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.process.folder().to_owned()
    }
}

/// True once PING is answered with anything but `LOADING`; a server that wants a password answers too.
fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, PING_LIMIT)?;
        stream.set_read_timeout(Some(PING_LIMIT))?;
        stream.write_all(b"PING\r\n")?;
        let mut reply = [0_u8; 64];
        let length = stream.read(&mut reply)?;
        Ok(reply[..length].starts_with(b"+PONG") || reply[..length].starts_with(b"-NOAUTH"))
    };
    ask().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::Redis;
    use crate::servers::Error;

    #[test]
    fn a_killed_server_comes_back_on_its_port_and_a_dropped_one_leaves_nothing() -> Result<(), Error> {
        let mut server = Redis::options().durable().start()?;
        let (port, folder) = (server.port(), server.folder());
        server.kill()?;
        assert_eq!(server.process_id(), None);
        server.start_again()?;
        assert_eq!(server.port(), port);
        assert!(server.process_id().is_some());
        server.command("SET a 1")?;
        let copy = server.back_up()?;
        server.command("SET a 2")?;
        server.restore(&copy)?;
        assert_eq!(server.command("STRLEN a")?, ":1");
        let replica = Redis::options().replica_of(port).start()?;
        assert!(replica.command("SET b 1").is_err(), "a replica took a write");
        replica.promote()?;
        replica.command("SET b 1")?;
        drop(server);
        assert!(!folder.exists(), "{} is still there", folder.display());
        Ok(())
    }
}
