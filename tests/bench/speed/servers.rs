//! Servers for a measure that wants them its own way, and what a report says of them.
//!
//! A Postgres that writes to disk and a Redis that keeps nothing, besides the settings that the measure adds.

use sqlx::Connection;
use system_tests::relay::RelayOptions;
use system_tests::{Failure, Relay, Result, World};
use xtask::servers::{Kind, Permission, Postgres, Redis, ensure};

use crate::report::Facts;

/// What a report names of Postgres, besides its version.
const SETTINGS: [&str; 4] = ["fsync", "synchronous_commit", "shared_buffers", "max_wal_size"];

/// The processes of a world's own servers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Processes {
    pub(crate) postgres: u32,
    pub(crate) redis: u32,
}

/// Starts them, with these settings of Postgres besides.
pub(crate) async fn start(settings: &[(&str, &str)]) -> Result<World> {
    ensure(&[Kind::Postgres, Kind::Redis], Permission::Install)?;
    let postgres = Postgres::options()
        .fsync(true)
        .set("shared_buffers", "256MB")
        .set("max_wal_size", "4GB");
    let postgres = settings
        .iter()
        .fold(postgres, |postgres, (name, value)| postgres.set(name, value));
    World::with_own_servers(postgres, Redis::options()).await
}

/// As they are now; a server that was restarted is another process.
pub(crate) fn processes(world: &mut World) -> Result<Processes> {
    let gone = || Failure::new("a server of the measure does not run");
    Ok(Processes {
        postgres: world.postgres()?.process_id().ok_or_else(gone)?,
        redis: world.redis_server()?.process_id().ok_or_else(gone)?,
    })
}

/// A relay as people run it, with the settings that it has by itself.
pub(crate) fn relay(database_url: &str, redis_url: &str) -> RelayOptions {
    Relay::command(&["run"])
        .set("DATABASE_URL", database_url)
        .set("REDIS_URL", redis_url)
}

/// Adds what the servers say of themselves to what was noted of the machine before it had anything to do.
pub(crate) async fn tell(mut facts: Facts, world: &World) -> Result<Facts> {
    let mut connection = world.connect().await?;
    let version: String = sqlx::query_scalar("show server_version")
        .fetch_one(&mut connection)
        .await?;
    let mut settings = Vec::new();
    for name in SETTINGS {
        let value: String = sqlx::query_scalar("select current_setting($1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await?;
        settings.push(format!("{name} {value}"));
    }
    connection.close().await?;
    let info: String = redis::cmd("INFO")
        .arg("server")
        .query_async(&mut world.redis().await?)
        .await?;
    let redis = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
    facts.add("Postgres", format!("{version}; {}", settings.join(", ")));
    facts.add(
        "Redis",
        format!("{}; appendonly no", redis.unwrap_or("not known")),
    );
    facts.add("between them", "loopback, no TLS; all on the same cores");
    Ok(facts)
}
