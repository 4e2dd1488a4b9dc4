//! Setup script of nextest: starts the servers that this run's tests share; they end with the test runner's process.

use std::io::Write;

use system_tests::{Failure, Result, SharedServers};
use xtask::servers::Lifetime;

#[tokio::main]
async fn main() -> Result {
    let hand_over = std::env::var_os("NEXTEST_ENV")
        .ok_or_else(|| Failure::new("NEXTEST_ENV is not set: this is a setup script of cargo-nextest"))?;
    let servers = SharedServers::start(Lifetime::OfProcess(std::os::unix::process::parent_id())).await?;
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(hand_over)?;
    file.write_all(servers.environment().as_bytes())?;
    Ok(())
}
