//! The servers that the tests of one run share.
//!
//! Under nextest every test is a process; the setup script `prepare` starts one Postgres and one Redis before them and
//! hands over the ports in the environment. Under plain `cargo test` a process starts its own at first use.

use std::path::PathBuf;
use std::sync::OnceLock;

use tokio::sync::OnceCell;
use xtask::servers::{Kind, Lifetime, Permission, Postgres, Redis, ensure};

use crate::login::equipped;
use crate::template;
use crate::{Failure, Result};

const POSTGRES_PORT: &str = "OUTBOX_TEST_POSTGRES_PORT";
const REDIS_PORT: &str = "OUTBOX_TEST_REDIS_PORT";
const FOLDER: &str = "OUTBOX_TEST_FOLDER";

/// Where they listen.
#[derive(Clone, Debug)]
pub struct SharedServers {
    /// On 127.0.0.1, superuser `postgres`, no password.
    pub postgres_port: u16,
    /// On 127.0.0.1: the default user has no password, and those of `docs/operating.md` their names.
    pub redis_port: u16,
    /// Removed at the end of the run, however it ends: the place for files of tests.
    folder: PathBuf,
}

impl SharedServers {
    /// The servers of this run; starts them when no setup script did.
    ///
    /// # Errors
    /// When a server is missing or does not start.
    pub async fn get() -> Result<Self> {
        static READY: OnceCell<SharedServers> = OnceCell::const_new();
        if let (Some(postgres_port), Some(redis_port)) = (port(POSTGRES_PORT), port(REDIS_PORT)) {
            return Ok(Self {
                postgres_port,
                redis_port,
                folder: scratch_folder(),
            });
        }
        READY
            .get_or_try_init(|| async { Self::start(Lifetime::OfValue).await })
            .await
            .cloned()
    }

    /// Starts the servers of a run, with the templates that databases are cloned from.
    ///
    /// # Errors
    /// When a server is missing and may not be installed, or does not start.
    pub async fn start(lifetime: Lifetime) -> Result<Self> {
        // The watchdogs end them with the process; a static is never dropped.
        static KEPT: OnceLock<(Postgres, Redis)> = OnceLock::new();
        ensure(&[Kind::Postgres, Kind::Redis], Permission::Install)?;
        let postgres = Postgres::options()
            .set("max_prepared_transactions", 50)
            .set("max_connections", 500)
            .lifetime(lifetime);
        let postgres = postgres.start()?;
        let redis = equipped(Redis::options()).lifetime(lifetime).start()?;
        let servers = Self {
            postgres_port: postgres.port(),
            redis_port: redis.port(),
            folder: redis.folder(),
        };
        template::make_all(&postgres.url("postgres")).await?;
        KEPT.set((postgres, redis))
            .map_err(|_| Failure::new("the shared servers were started twice"))?;
        Ok(servers)
    }

    /// The lines that hand them over to other processes.
    #[must_use]
    pub fn environment(&self) -> String {
        let (postgres, redis, folder) = (self.postgres_port, self.redis_port, self.folder.display());
        format!("{POSTGRES_PORT}={postgres}\n{REDIS_PORT}={redis}\n{FOLDER}={folder}\n")
    }

    pub(crate) fn postgres_url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.postgres_port)
    }

    pub(crate) fn redis_url(&self, database: u32) -> String {
        format!("redis://127.0.0.1:{}/{database}", self.redis_port)
    }
}

/// Where a test may leave a file: the run's folder, or the system's when no setup script made one.
pub(crate) fn scratch_folder() -> PathBuf {
    std::env::var_os(FOLDER).map_or_else(std::env::temp_dir, PathBuf::from)
}

fn port(name: &str) -> Option<u16> {
    std::env::var(name).ok()?.parse().ok()
}
