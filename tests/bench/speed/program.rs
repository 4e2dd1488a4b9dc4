//! Programs that come with the servers.

use std::path::PathBuf;

use system_tests::{Failure, Result};
use xtask::servers::{Kind, find};

/// `redis-cli`, beside the server.
pub(crate) fn redis_cli() -> Result<PathBuf> {
    beside(Kind::Redis, "redis-cli")
}

/// `pgbench`, beside the server.
pub(crate) fn pgbench() -> Result<PathBuf> {
    beside(Kind::Postgres, "pgbench")
}

fn beside(kind: Kind, program: &str) -> Result<PathBuf> {
    let server = find(kind).ok_or_else(|| Failure::new(format!("no {}", kind.title())))?;
    let path = server.with_file_name(program);
    match path.is_file() {
        true => Ok(path),
        false => Err(Failure::new(format!("there is no {program} beside the server"))),
    }
}
