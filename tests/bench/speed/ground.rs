//! The servers of a measure: a Postgres that writes to disk, a Redis that keeps nothing, and one with an append-only file.
//!
//! A database that was filled once is copied file by file for each run, so that each begins with the same pages, all of them on disk
//! and none in the server's memory: what a relay finds that was away.

use std::path::PathBuf;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use system_tests::login::equipped;
use system_tests::patience::until;
use system_tests::relay::RelayOptions;
use system_tests::{Failure, Invocation, Relay, Result, World};
use xtask::servers::{Kind, Permission, Postgres, Redis, ensure, find};

use super::usage;
use crate::report::Facts;

const LIMIT: Duration = Duration::from_secs(300);

/// Which Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Keeps nothing on disk.
    Memory,
    /// `appendonly yes`, `appendfsync everysec`.
    Everysec,
}

impl Sink {
    pub(crate) const ALL: [Self; 2] = [Self::Memory, Self::Everysec];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Memory => "Redis without AOF",
            Self::Everysec => "Redis with AOF everysec",
        }
    }
}

/// Seconds of CPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    pub(crate) postgres: f64,
    pub(crate) redis: f64,
}

/// The servers. Dropped: stopped and removed.
pub(crate) struct Ground {
    world: World,
    everysec: Redis,
    postgres_process: u32,
    memory_process: u32,
}

impl Ground {
    pub(crate) async fn prepare() -> Result<Self> {
        ensure(&[Kind::Postgres, Kind::Redis], Permission::Install)?;
        let postgres = Postgres::options()
            .fsync(true)
            .set("shared_buffers", "256MB")
            .set("max_wal_size", "4GB");
        let gone = || Failure::new("a server of the measure does not run");
        let mut world = World::with_own_servers(postgres, Redis::options()).await?;
        let postgres_process = world.postgres()?.process_id().ok_or_else(gone)?;
        let memory_process = world.redis_server()?.process_id().ok_or_else(gone)?;
        // When the file is written anew is decided between runs, not in the middle of one.
        let everysec = equipped(Redis::options())
            .set("appendonly", "yes")
            .set("appendfsync", "everysec")
            .set("auto-aof-rewrite-percentage", 0)
            .start()?;
        Ok(Self {
            world,
            everysec,
            postgres_process,
            memory_process,
        })
    }

    /// The machine and the servers. Takes the load of this moment.
    pub(crate) async fn facts(&self) -> Result<Facts> {
        let mut facts = Facts::of_machine();
        let mut connection = self.connect().await?;
        let version: String = sqlx::query_scalar("show server_version")
            .fetch_one(&mut connection)
            .await?;
        let mut settings = Vec::new();
        for name in ["fsync", "synchronous_commit", "shared_buffers", "max_wal_size"] {
            let value: String = sqlx::query_scalar("select current_setting($1)")
                .bind(name)
                .fetch_one(&mut connection)
                .await?;
            settings.push(format!("{name} {value}"));
        }
        connection.close().await?;
        let info: String = redis::cmd("INFO")
            .arg("server")
            .query_async(&mut self.redis(Sink::Memory).await?)
            .await?;
        let redis = info
            .lines()
            .find_map(|line| line.strip_prefix("redis_version:"))
            .unwrap_or("not known");
        facts.add("Postgres", format!("{version}; {}", settings.join(", ")));
        facts.add(
            "Redis",
            format!("{redis}; appendonly no, and where said appendonly yes with appendfsync everysec"),
        );
        facts.add("between them", "loopback, no TLS; all on the same cores");
        Ok(facts)
    }

    #[expect(dead_code, reason = "for measures to come")]
    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// The log's database, as superuser.
    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        self.world.connect().await
    }

    pub(crate) fn redis_url(&self, sink: Sink) -> String {
        match sink {
            Sink::Memory => self.world.redis_url().to_owned(),
            Sink::Everysec => self.everysec.url(0),
        }
    }

    pub(crate) async fn redis(&self, sink: Sink) -> Result<MultiplexedConnection> {
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(LIMIT))
            .set_response_timeout(Some(LIMIT));
        Ok(redis::Client::open(self.redis_url(sink))?
            .get_multiplexed_async_connection_with_config(&config)
            .await?)
    }

    /// Nothing is in it, nor in its file, and it is at rest.
    pub(crate) async fn empty(&self, sink: Sink) -> Result {
        let mut redis = self.redis(sink).await?;
        redis::cmd("FLUSHALL")
            .arg("SYNC")
            .query_async::<()>(&mut redis)
            .await?;
        if sink == Sink::Everysec {
            redis::cmd("BGREWRITEAOF").query_async::<()>(&mut redis).await?;
            until("the file is written anew", LIMIT, async || {
                let info: String = redis::cmd("INFO")
                    .arg("persistence")
                    .query_async(&mut redis)
                    .await?;
                let is_done = ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"]
                    .iter()
                    .all(|line| info.contains(line));
                Ok(is_done.then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Of the servers, so far.
    pub(crate) fn cpu(&self, sink: Sink) -> Result<Cpu> {
        Ok(Cpu {
            postgres: usage::cpu_seconds_of_all(self.postgres_process)?,
            redis: usage::cpu_seconds(self.redis_process(sink)?)?,
        })
    }

    /// The process of a Redis.
    pub(crate) fn redis_process(&self, sink: Sink) -> Result<u32> {
        match sink {
            Sink::Memory => Ok(self.memory_process),
            Sink::Everysec => self
                .everysec
                .process_id()
                .ok_or_else(|| Failure::new("the Redis with a file does not run")),
        }
    }

    /// A relay as people run it, with the settings that it has by itself, between a database and a Redis.
    pub(crate) fn relay(&self, database_url: &str, sink: Sink) -> RelayOptions {
        Relay::command(&["run"])
            .set("DATABASE_URL", database_url)
            .set("REDIS_URL", self.redis_url(sink))
    }

    /// Gives a topic of the log's database so many partitions.
    pub(crate) fn partitions(&self, topic: &str, partitions: u32) -> Result {
        let number = partitions.to_string();
        let answer = Invocation::of(&self.world, &["topic", "set", topic, "--partitions", &number])?.ask()?;
        match answer.code {
            0 => Ok(()),
            _ => Err(Failure::new(format!("topic set: {answer:?}"))),
        }
    }

    /// Copies the log's database, which nobody may be connected to. The copy of that name is made anew.
    pub(crate) async fn copy(&self, name: &str) -> Result<Copy> {
        let mut server = PgConnection::connect(&self.in_database("postgres")).await?;
        let from = self.world.log().name();
        server
            .execute(AssertSqlSafe(format!(
                "drop database if exists {name} with (force)"
            )))
            .await?;
        until("nobody is in the database to copy", LIMIT, async || {
            let others: i64 = sqlx::query_scalar("select count(*) from pg_stat_activity where datname = $1")
                .bind(from)
                .fetch_one(&mut server)
                .await?;
            Ok((others == 0).then_some(()))
        })
        .await?;
        server
            .execute(AssertSqlSafe(format!(
                "create database {name} template {from} strategy file_copy"
            )))
            .await?;
        server.close().await?;
        Ok(Copy {
            url: self.in_database(name),
            name: name.to_owned(),
        })
    }

    /// Drops a copy.
    pub(crate) async fn drop_copy(&self, copy: Copy) -> Result {
        let mut server = PgConnection::connect(&self.in_database("postgres")).await?;
        let name = copy.name;
        server
            .execute(AssertSqlSafe(format!("drop database {name} with (force)")))
            .await?;
        Ok(server.close().await?)
    }

    fn in_database(&self, name: &str) -> String {
        let url = self.world.database_url();
        url.replacen(self.world.log().name(), name, 1)
    }
}

/// A copy of the log's database.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    url: String,
    name: String,
}

impl Copy {
    /// As superuser.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url).await?)
    }
}

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
