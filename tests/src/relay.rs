//! The real relay as a process: started, watched, stopped in its tracks, killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use crate::servers::scratch_folder;
use crate::{Failure, Login, Result, World};

/// A takeover after a crash may take as long as the lease.
const READY_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const HTTP_LIMIT: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const LOG_TAIL_LINES: usize = 30;
/// The lease of relays under test: short, so that takeovers do not make the tests long.
pub const LEASE: Duration = Duration::from_secs(1);

/// How a relay is to be started.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    hosts: Option<PathBuf>,
    binary: Option<PathBuf>,
    login: Login,
}

impl RelayOptions {
    /// With other rights than those of its work, and why is said where this is called.
    #[must_use]
    pub fn login(mut self, login: Login) -> Self {
        self.login = login;
        self
    }

    /// Another binary, as that of an older version.
    #[must_use]
    pub fn binary(mut self, binary: &Path) -> Self {
        self.binary = Some(binary.to_owned());
        self
    }

    fn command(&self) -> Result<Command> {
        let binary = self.binary.clone().map_or_else(binary, Ok)?;
        let Some(hosts) = &self.hosts else {
            return Ok(Command::new(binary));
        };
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "sh",
                "-c",
                r#"mount --bind "$0" /etc/hosts && exec "$@""#,
            ])
            .arg(hosts)
            .arg(binary);
        Ok(command)
    }

    /// A setting, as an environment variable.
    #[must_use]
    pub fn set(mut self, variable: &str, value: impl ToString) -> Self {
        self.environment.push((variable.to_owned(), value.to_string()));
        self
    }

    /// An argument after `run`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Lets it find names in this file instead of `/etc/hosts`, as it is whenever it looks. In a mount namespace, which only root
    /// can make; elsewhere it does not start.
    #[must_use]
    pub fn hosts(mut self, file: &Path) -> Self {
        self.hosts = Some(file.to_owned());
        self
    }

    /// Starts it, without waiting for anything.
    ///
    /// # Errors
    /// When the binary is missing or older than its sources.
    pub fn start(&self) -> Result<Relay> {
        Relay::start(self)
    }
}

/// A running relay. Dropped: killed; the tail of its log goes to standard error, which a test runner shows on failure.
#[derive(Debug)]
pub struct Relay {
    child: Child,
    port_file: PathBuf,
    log: Arc<Mutex<Vec<String>>>,
    lines: watch::Receiver<usize>,
    is_quiet: bool,
}

impl Relay {
    /// `outbox-relay run` between the two ends of a world.
    #[must_use]
    pub fn of(world: &World) -> RelayOptions {
        Self::command(&["run"])
            .set("DATABASE_URL", world.database_url())
            .set("REDIS_URL", world.redis_url())
            .set("OUTBOX_TAIL_LEASE_TTL", format!("{}ms", LEASE.as_millis()))
    }

    /// Any command of the binary that stays and serves HTTP.
    #[must_use]
    pub fn command(arguments: &[&str]) -> RelayOptions {
        RelayOptions {
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            environment: vec![("OUTBOX_HTTP_BIND".to_owned(), "127.0.0.1:0".to_owned())],
            hosts: None,
            binary: None,
            login: Login::of_command(arguments),
        }
    }

    fn start(options: &RelayOptions) -> Result<Self> {
        let port_file = scratch_folder().join(format!("outbox-relay-{}.port", Uuid::now_v7().simple()));
        let mut child = options
            .command()?
            .args(&options.arguments)
            .env_remove("DATABASE_URL")
            .env_remove("REDIS_URL")
            .envs(options.login.settings(&options.environment))
            .env("OUTBOX_HTTP_PORT_FILE", &port_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let (sender, lines) = watch::channel(0);
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || keep_log(stderr, &log, &sender));
        }
        Ok(Self {
            child,
            port_file,
            log,
            lines,
            is_quiet: false,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `/readyz` says that it is ready: leading, or standing by.
    ///
    /// # Errors
    /// With what it said last.
    pub async fn ready(&mut self) -> Result {
        self.stands(READY_LIMIT, |status, _| status == 200)
            .await
            .map(|_| ())
    }

    /// Waits until it leads.
    ///
    /// # Errors
    /// With what it said last.
    pub async fn leads(&mut self) -> Result {
        self.stands(READY_LIMIT, |_, body| body.contains("\"leading\""))
            .await
            .map(|_| ())
    }

    /// Waits until `/readyz` says that it is not ready, and returns what it says.
    ///
    /// # Errors
    /// With what it said last.
    pub async fn not_ready(&mut self) -> Result<Value> {
        let body = self.stands(READY_LIMIT, |status, _| status == 503).await?;
        Ok(serde_json::from_str(&body)?)
    }

    /// Waits until `/readyz` says that it is not ready for a reason that contains `text`, and returns the answer.
    ///
    /// # Errors
    /// With what it said last.
    pub async fn not_ready_because(&mut self, text: &str) -> Result<String> {
        self.stands(READY_LIMIT, |status, body| status == 503 && body.contains(text))
            .await
    }

    /// True when it leads at this moment.
    pub async fn is_leading(&self) -> bool {
        self.get("/readyz")
            .await
            .is_ok_and(|(_, body)| body.contains("\"leading\""))
    }

    /// Polls `/readyz`, which nothing announces, until it is as wanted.
    async fn stands(&mut self, limit: Duration, wanted: impl Fn(u16, &str) -> bool) -> Result<String> {
        let deadline = Instant::now() + limit;
        let mut seen = "nothing".to_owned();
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Err(Failure::new(format!(
                    "the relay ended with {status}; its log:\n{}",
                    self.log_tail()
                )));
            }
            if let Ok((status, body)) = self.get("/readyz").await {
                if wanted(status, &body) {
                    return Ok(body);
                }
                seen = format!("{status} {body}");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err(Failure::new(format!(
            "/readyz said {seen} for {limit:?}; the relay's log:\n{}",
            self.log_tail()
        )))
    }

    /// Status and body of a page of its HTTP server.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        let port: u16 = std::fs::read_to_string(&self.port_file)?.trim().parse()?;
        let ask = async {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await?;
            Ok::<_, std::io::Error>(reply)
        };
        let reply = timeout(HTTP_LIMIT, ask).await??;
        let status = reply.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| Failure::new(format!("no HTTP status in {reply:?}")))?;
        Ok((
            status,
            reply
                .split_once("\r\n\r\n")
                .map_or_else(String::new, |(_, body)| body.to_owned()),
        ))
    }

    /// The sum of a metric over its labels; 0 when it is not there.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let (_, body) = self.get("/metrics").await?;
        Ok(body
            .lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// Waits until its log has a line with this text, also an earlier one.
    ///
    /// # Errors
    /// When none came within the limit.
    pub async fn logs(&mut self, text: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        let mut looked = 0;
        loop {
            self.lines.borrow_and_update();
            {
                let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(line) = log[looked..].iter().find(|line| line.contains(text)) {
                    return Ok(line.clone());
                }
                looked = log.len();
            }
            if !matches!(timeout_at(deadline, self.lines.changed()).await, Ok(Ok(()))) {
                return Err(Failure::new(format!(
                    "no line with {text:?} in the relay's log:\n{}",
                    self.log_tail()
                )));
            }
        }
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// True when it ended, by itself or not.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// SIGTERM, and waits until it ended by itself.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.ended(STOP_LIMIT).await
    }

    /// Waits until it ends by itself, and until all of its log is here.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                let whole = async { while self.lines.changed().await.is_ok() {} };
                timeout_at(deadline, whole)
                    .await
                    .map_err(|_| Failure::new(format!("its log stayed open:\n{}", self.log_tail())))?;
                return Ok(status);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err(Failure::new(format!(
            "the relay did not end within {limit:?}; its log:\n{}",
            self.log_tail()
        )))
    }

    /// SIGSTOP: a process that the scheduler forgot.
    ///
    /// # Errors
    /// When it is gone.
    pub fn pause(&self) -> Result {
        self.signal("STOP")
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resume(&self) -> Result {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> Result {
        Ok(xtask::servers::signal(self.child.id(), name)?)
    }

    /// The most memory it ever had resident, in bytes. Linux only.
    ///
    /// # Errors
    /// When it is gone.
    pub fn peak_memory_bytes(&self) -> Result<u64> {
        self.bytes_of("VmHWM:")
    }

    /// How much memory it has now, in bytes. Linux only.
    ///
    /// # Errors
    /// When it is gone.
    pub fn memory_bytes(&self) -> Result<u64> {
        self.bytes_of("VmRSS:")
    }

    fn bytes_of(&self, name: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kilobytes
            .map(|kilobytes| kilobytes * 1024)
            .ok_or_else(|| Failure::new("no memory in /proc: the relay is gone"))
    }

    /// All of its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Says nothing of its log when it is dropped.
    pub fn be_quiet(&mut self) {
        self.is_quiet = true;
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log[log.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_file(&self.port_file).ok();
        if !self.is_quiet {
            eprintln!(
                "--- relay {}, end of its log ---\n{}",
                self.child.id(),
                self.log_tail()
            );
        }
    }
}

fn keep_log(stderr: ChildStderr, log: &Mutex<Vec<String>>, lines: &watch::Sender<usize>) {
    for line in BufReader::new(stderr).lines().map_while(std::io::Result::ok) {
        log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        lines.send_modify(|count| *count += 1);
    }
}

/// The binary beside the test's own, never an older one than its sources.
///
/// # Errors
/// When it is missing or older than its sources.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("OUTBOX_RELAY_BINARY") {
        return Ok(path.into());
    }
    let test = std::env::current_exe()?;
    let folder = test.ancestors().find(|path| path.join("outbox-relay").is_file());
    let build = "build it first: cargo build -p outbox-relay";
    let path = folder.map(|folder| folder.join("outbox-relay")).ok_or_else(|| {
        Failure::new(format!(
            "there is no outbox-relay in a folder above {}: {build}",
            test.display()
        ))
    })?;
    let built = std::fs::metadata(&path)?.modified()?;
    if let Some(source) = newer_source(&path, built)? {
        return Err(Failure::new(format!(
            "{} is older than {}: {build}",
            path.display(),
            source.display()
        )));
    }
    Ok(path)
}

/// A source, as listed in cargo's `.d` file beside the binary, that was changed after it was built.
fn newer_source(binary: &Path, built: SystemTime) -> Result<Option<PathBuf>> {
    let list = std::fs::read_to_string(binary.with_extension("d"))?;
    let sources = list
        .split_once(": ")
        .map_or("", |(_, sources)| sources)
        .split_whitespace()
        .map(PathBuf::from);
    Ok(sources.into_iter().find(|source| {
        std::fs::metadata(source)
            .and_then(|data| data.modified())
            .is_ok_and(|changed| changed > built)
    }))
}
