//! A PgBouncer in front of a Postgres of ours, in transaction mode: what breaks programs that keep state in a session.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::account::Account;
use super::error::Result;
use super::find::Kind;
use super::install::{Permission, ensure};
use super::postgres::Postgres;
use super::process::{Launch, Process};
use super::watchdog::Lifetime;
use super::{folder, port};

/// A running pooler. Dropped: killed and removed.
#[derive(Debug)]
pub struct PgBouncer {
    process: Process,
    port: u16,
}

impl PgBouncer {
    /// Starts one in transaction mode, `connections` server connections per database.
    ///
    /// # Errors
    /// When there is no PgBouncer, or it does not start: the error has the tail of its log.
    pub fn start(before: &Postgres, connections: u32) -> Result<Self> {
        let program = ensure(&[Kind::PgBouncer], Permission::LookOnly)?.remove(0);
        let account = Account::unprivileged()?;
        let port = port::free()?;
        let folder = folder::make("pgbouncer", account)?;
        let file = folder.join("pgbouncer.ini");
        let users = folder.join("users");
        let configuration = format!(
            "[databases]\n* = host=127.0.0.1 port={} auth_user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\nmax_client_conn = 500\n\
             default_pool_size = {connections}\nignore_startup_parameters = extra_float_digits,options\n",
            before.port(),
            users.display()
        );
        let launch = Launch {
            program,
            arguments: vec![file.clone().into()],
            account,
            end_signal: "KILL",
        };
        let mut process = Process::guard(launch, folder, Lifetime::OfValue)?;
        folder::write(&file, &configuration, account)?;
        // Everybody else is looked up in the server, and is there who they say they are.
        folder::write(&users, "\"postgres\" \"\"\n", account)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        process.start(move |_| TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok())?;
        Ok(Self { process, port })
    }

    /// URL of a database through the pooler.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The tail of its log, for messages.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}
