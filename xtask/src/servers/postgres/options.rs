//! How a cluster is to be: chosen before it is made, and written into its configuration.

use std::fs;
use std::path::{Path, PathBuf};

use super::Postgres;
use crate::servers::account::Account;
use crate::servers::error::{Error, Result};
use crate::servers::folder;
use crate::servers::watchdog::Lifetime;

/// How a cluster is to be.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    pub(super) fsync: bool,
    pub(super) settings: Vec<(String, String)>,
    pub(super) tls: Option<(PathBuf, PathBuf)>,
    pub(super) disk_bytes: Option<u64>,
    pub(super) clock: bool,
    pub(super) lifetime: Lifetime,
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

    pub(super) fn configuration(&self, port: u16, folder: &Path, account: Account) -> Result<String> {
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
